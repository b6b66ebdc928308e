// One front, seen from the owner: its process, its connections, its requests.

import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { builtEntry } from '../../tokens/built-entry.ts';
import type { Engine } from '../engines/engine.ts';
import type { RequestTrace } from '../exchange/request-trace.ts';
import { errorOf } from '../exchange/sent-error.ts';
import { account } from '../http/client-door.ts';
import type { GatewayContext } from '../http/gateway-context.ts';
import { logToStderr, passLines } from '../telemetry/log-output.ts';
import { connectionMessage, ownerDescriptor } from './front-handover.ts';
import type { FrontFigures, FrontMessage, OwnerMessage, SentAccount } from './front-messages.ts';
import { MessageChannel } from './message-channel.ts';
import { type OrderedFront, OwnedRequest } from './owned-request.ts';
import { toOwnMs } from './shared-clock.ts';

const entry: URL = builtEntry(import.meta.url, 'front-entry');

export interface FrontEvents {
  /** It may get connections. */
  started(front: FrontProcess): void;
  /** Called once. */
  ended(front: FrontProcess, reason: string): void;
  /** The number of an engine, the same for all fronts. */
  engineId(engine: Engine): number;
}

export class FrontProcess implements OrderedFront {
  readonly #context: GatewayContext;
  readonly #events: FrontEvents;
  readonly #child: ChildProcess;
  readonly #channel: MessageChannel<FrontMessage, OwnerMessage>;
  readonly #requests = new Map<number, OwnedRequest>();
  readonly #engines = new Map<Engine, number>();
  readonly #engineOf = new Map<number, Engine>();
  #connections = 0;
  #figures: FrontFigures = { connections: {}, bodyBytes: 0, answerBytes: 0 };
  #heardMs = performance.now();
  #fault: string | null = null;
  #brokenOffAnswers: number | null = null;

  constructor(context: GatewayContext, events: FrontEvents, start: OwnerMessage) {
    this.#context = context;
    this.#events = events;
    // Its log goes through this process: a descriptor that both shared would become a blocking one.
    const child = fork(entry, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'] });
    this.#child = child;
    passLines(child.stderr!, logToStderr());
    this.#channel = new MessageChannel<FrontMessage, OwnerMessage>(child.stdio[ownerDescriptor] as Duplex, {
      receive: (message) => this.#receive(message),
      lost: (reason) => this.#end(reason),
    });
    child.on('error', (error) => this.#end(error.message));
    child.on('exit', (code, signal) => this.#end(signal === null ? `exit code ${code}` : `ended by ${signal}`));
    this.post(start);
  }

  get fault(): string | null {
    return this.#fault;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Connections of clients that it has. */
  get connections(): number {
    return this.#connections;
  }

  get figures(): FrontFigures {
    return this.#figures;
  }

  /** When it last told anything. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Answers that it broke off when it stopped. */
  get brokenOffAnswers(): number {
    return this.#brokenOffAnswers ?? 0;
  }

  post(message: OwnerMessage): void {
    this.#channel.post(message);
  }

  /** Hands a new connection over. */
  take(socket: Socket): void {
    this.#connections += 1;
    this.#child.send(connectionMessage, socket, { keepOpen: false }, (error) => {
      if (error === null) return;
      this.#connections -= 1;
      socket.destroy();
    });
  }

  engineId(engine: Engine): number {
    const known = this.#engines.get(engine);
    if (known !== undefined) return known;
    const id = this.#events.engineId(engine);
    this.#engines.set(engine, id);
    this.#engineOf.set(id, engine);
    this.#introduce(engine, id);
    return id;
  }

  /** Certificates have changed. */
  renewEngines(): void {
    for (const [engine, id] of this.#engines) this.#introduce(engine, id);
  }

  #introduce(engine: Engine, id: number): void {
    this.post({ kind: 'engine', engine: id, spec: { url: engine.url, tls: engine.upstream.tls } });
  }

  /** Forgets engines that have left. */
  keepEngines(kept: ReadonlySet<Engine>): void {
    for (const [engine, id] of this.#engines) {
      if (kept.has(engine) || engine.calls.count > 0) continue;
      this.#engines.delete(engine);
      this.#engineOf.delete(id);
      this.post({ kind: 'engine-gone', engine: id });
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Messages of many requests come together: a fault with one ends only the attempt that it is about. */
  #receive(message: FrontMessage): void {
    this.#heardMs = performance.now();
    try {
      this.#take(message);
    } catch (error) {
      const number = 'request' in message ? message.request : null;
      const request = number === null ? undefined : this.#requests.get(number);
      if (request !== undefined) request.broken(error as Error);
      else
        this.#context.log.error(
          { err: error, kind: message.kind },
          'message of a thread lost by a fault of the gateway',
        );
    }
  }

  #take(message: FrontMessage): void {
    switch (message.kind) {
      case 'started':
        this.#events.started(this);
        return;
      case 'asked': {
        this.#context.metrics.threadRequests.inc({ by: 'thread' });
        const request = new OwnedRequest(this.#context, this, message.request, message.asked);
        this.#requests.set(message.request, request);
        void request.serve();
        return;
      }
      case 'gone':
        this.#requests.get(message.request)?.leave();
        return;
      case 'tokens':
        this.#requests.get(message.request)?.tokens(message.choice, message.count, message.sharedMs);
        return;
      case 'total':
        this.#requests.get(message.request)?.totalTokens(message.count);
        return;
      case 'unobserved':
        this.#requests.get(message.request)?.book?.unobserved(message.why);
        return;
      case 'heard':
        this.#engineOf.get(message.engine)?.calls.heard();
        return;
      case 'paused':
      case 'resumed':
        this.#requests.get(message.request)?.pause(message.kind === 'paused');
        return;
      case 'settled':
        this.#requests.get(message.request)?.settled(message.end);
        return;
      case 'broken':
        this.#requests.get(message.request)?.broken(errorOf(message.error));
        return;
      case 'ended':
        this.#account(message);
        return;
      case 'limited':
        this.#context.metrics.limited.inc({ limit: message.limit });
        return;
      case 'closed':
        this.#connections -= message.count;
        return;
      case 'figures':
        this.#figures = message.figures;
        return;
      case 'stopped':
        this.#brokenOffAnswers = message.brokenOffAnswers;
    }
  }

  #account({ request, account: told }: FrontMessage & { kind: 'ended' }): void {
    const owned = request === null ? null : (this.#requests.get(request) ?? null);
    if (request !== null) this.#requests.delete(request);
    const { requestId, sharedMs, method, path, model, key, limit, status } = told;
    const ended = {
      id: requestId,
      key: key === null ? null : { name: key },
      record: owned?.record ?? null,
      startedMs: toOwnMs(sharedMs),
      ...{ request: { method }, path, model, limit },
    };
    account(this.#context, ended, status);
    const trace = owned === null ? this.#traceOf(told) : owned.trace;
    trace?.ended(status, limit);
  }

  /** Of a request that ended before it was placed. */
  #traceOf({ trace, requestId, sharedMs, key }: SentAccount): RequestTrace | null {
    if (trace === null) return null;
    return this.#context.tracing?.begin({ ...trace, id: requestId, startedMs: toOwnMs(sharedMs), key }) ?? null;
  }

  #end(reason: string): void {
    if (this.#fault !== null) return;
    this.#fault = `the process of its connection died: ${reason}`;
    this.#channel.close();
    for (const request of this.#requests.values()) {
      request.orphaned(this.#fault);
      request.trace?.ended(500, null);
    }
    this.#requests.clear();
    this.#connections = 0;
    this.#figures = { connections: {}, bodyBytes: 0, answerBytes: 0 };
    this.#events.ended(this, reason);
  }
}
