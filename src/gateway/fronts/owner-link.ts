// A front's side of the channel: the models it may serve, its engines, its requests that the owner places.

import type { Duplex } from 'node:stream';
import type { SentError } from '../exchange/sent-error.ts';
import { FrontEngine } from './front-engine.ts';
import type {
  AskedRequest,
  AttemptOrder,
  FrontMessage,
  FrontModel,
  FrontModels,
  FrontSettings,
  OwnerMessage,
  SentAccount,
} from './front-messages.ts';
import { MessageChannel } from './message-channel.ts';

/** A request that waits for orders of the owner. */
export interface Ordered {
  attempt(order: AttemptOrder): void;
  move(number: number, silenceMs: number, message: string): void;
  break(number: number, silent: boolean, message: string): void;
  over(error: SentError | null): void;
}

/** Something that is posted together with others, a little later. */
export interface Waiting {
  post(): void;
}

/** Between two reports of tokens and of engines that were heard. */
const reportIntervalMs = 20;

export interface OwnerLinkCallbacks {
  start(settings: FrontSettings, ownerSocket: string): void;
  settings(settings: FrontSettings): void;
  stop(graceMs: number): void;
  /** The owner is gone. */
  lost(reason: string): void;
}

export class OwnerLink {
  readonly #channel: MessageChannel<OwnerMessage, FrontMessage>;
  readonly #callbacks: OwnerLinkCallbacks;
  readonly #requests = new Map<number, Ordered>();
  readonly #engines = new Map<number, FrontEngine>();
  /** Engines heard since the last report. */
  readonly #heard = new Set<number>();
  /** What else waits for the next report. */
  readonly #waiting = new Set<Waiting>();
  #reports = false;
  #models: FrontModels = {};
  #nextRequest = 1;

  constructor(socket: Duplex, callbacks: OwnerLinkCallbacks) {
    this.#callbacks = callbacks;
    this.#channel = new MessageChannel(socket, {
      receive: (message) => this.#receive(message),
      lost: (reason) => callbacks.lost(reason),
    });
  }

  /** Null: the owner must serve the model's requests. */
  model(name: string): FrontModel | null {
    return Object.hasOwn(this.#models, name) ? this.#models[name]! : null;
  }

  engine(id: number): FrontEngine {
    const engine = this.#engines.get(id);
    if (engine === undefined) throw new Error(`the owner has not introduced engine ${id}`);
    return engine;
  }

  /** Asks for a worker. @returns the request's number */
  ask(asked: AskedRequest, ordered: Ordered): number {
    const request = this.#nextRequest++;
    this.#requests.set(request, ordered);
    this.#channel.post({ kind: 'asked', request, asked });
    return request;
  }

  ended(request: number | null, account: SentAccount): void {
    this.#channel.post({ kind: 'ended', request, account });
  }

  post(message: FrontMessage): void {
    this.#channel.post(message);
  }

  /** Calls `post` of `waiting` at the next report. */
  soon(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#reportLater();
  }

  drained(): Promise<void> {
    return this.#channel.drained();
  }

  #receive(message: OwnerMessage): void {
    switch (message.kind) {
      case 'start':
        this.#callbacks.start(message.settings, message.ownerSocket);
        return;
      case 'settings':
        this.#callbacks.settings(message.settings);
        return;
      case 'models':
        this.#models = message.models;
        return;
      case 'engine': {
        const { engine, spec } = message;
        const known = this.#engines.get(engine);
        if (known !== undefined) known.upstream.renew(spec.tls);
        else this.#engines.set(engine, new FrontEngine(spec, () => this.#hear(engine)));
        return;
      }
      case 'engine-gone':
        void this.#engines.get(message.engine)?.upstream.close();
        this.#engines.delete(message.engine);
        return;
      case 'attempt':
        this.#requests.get(message.request)?.attempt(message.order);
        return;
      case 'move':
        this.#requests.get(message.request)?.move(message.number, message.silenceMs, message.message);
        return;
      case 'break':
        this.#requests.get(message.request)?.break(message.number, message.silent, message.message);
        return;
      case 'over': {
        const ordered = this.#requests.get(message.request);
        this.#requests.delete(message.request);
        ordered?.over(message.error);
        return;
      }
      case 'stop':
        this.#callbacks.stop(message.graceMs);
    }
  }

  #hear(engine: number): void {
    this.#heard.add(engine);
    this.#reportLater();
  }

  /** Tokens come one by one, from many streams: the owner is told of them together. */
  #reportLater(): void {
    if (this.#reports) return;
    this.#reports = true;
    setTimeout(() => {
      this.#reports = false;
      for (const engine of this.#heard) this.#channel.post({ kind: 'heard', engine });
      this.#heard.clear();
      for (const waiting of this.#waiting) waiting.post();
      this.#waiting.clear();
    }, reportIntervalMs);
  }
}
