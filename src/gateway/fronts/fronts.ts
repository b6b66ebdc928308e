// The fronts of a gateway: accepts connections and hands each to the front with the fewest, and replaces fronts that die.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../engines/engine.ts';
import { keepAfterRefusals } from '../exchange/http-reply.ts';
import { takeProven } from '../http/client-certificates.ts';
import { handleClient } from '../http/client-door.ts';
import type { GatewayContext } from '../http/gateway-context.ts';
import { take } from '../http/http-failure.ts';
import { acceptWaiting, type ListenPlace, listen } from '../http/listening.ts';
import { until } from '../until.ts';
import { figuresIntervalMs } from './front-handover.ts';
import type { FrontFigures, FrontSettings } from './front-messages.ts';
import { frontModels } from './front-models.ts';
import { FrontProcess } from './front-process.ts';

/** Time for the fronts to load the tokenizer. */
const startMsMax = 120_000;
/** How often models are looked at; they change when engines come and go. */
const modelsIntervalMs = 100;
/** A front that tells nothing for longer hangs, and is killed. */
const silenceMsMax = 30_000;
/** A front that dies sooner after its start is replaced only after this time. */
const youngMs = 2000;
/** Time for a front to end beyond the grace period of its answers. */
const stopMsMax = 2000;

export interface FrontsOptions {
  readonly count: number;
  /** As of the last reload. */
  settings(): FrontSettings;
  /** A front has died. */
  onDeath(): void;
}

export class Fronts {
  readonly #context: GatewayContext;
  readonly #options: FrontsOptions;
  /** Holds the socket of the owner's own listener; only this user may open it. */
  readonly #folder = mkdtempSync(join(tmpdir(), 'kvoyant-'));
  readonly #ownerSocket = join(this.#folder, 'owner.sock');
  readonly #inner: HttpServer;
  readonly #acceptor: Server;
  readonly #fronts = new Set<FrontProcess>();
  /** Those that take connections. */
  readonly #open = new Set<FrontProcess>();
  readonly #engineIds = new WeakMap<Engine, number>();
  #nextEngineId = 1;
  #models = '';
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;

  private constructor(context: GatewayContext, options: FrontsOptions) {
    this.#context = context;
    this.#options = options;
    this.#inner = createHttpServer({
      requestTimeout: 0,
      maxHeaderSize: 2 * context.config.headerBytesMax,
      // Requests in HTTP/1.0 have none.
      requireHostHeader: false,
    });
    // As at the listener of clients.
    this.#inner.maxHeadersCount = 0;
    this.#inner.on('connection', keepAfterRefusals);
    this.#inner.on('request', (request, response) => {
      context.metrics.threadRequests.inc({ by: 'owner' });
      const proven = takeProven(request);
      if (proven !== null) context.access.certificates.vouch(request, proven);
      take(handleClient(context, request, response), response);
    });
    // Its only clients are the fronts, which keep their connections.
    this.#inner.keepAliveTimeout = 0;
    if (options.settings().tls !== null) this.#inner.on('connection', markEncrypted);
    this.#acceptor = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#handOver(socket));
  }

  /** Resolves when all fronts have started. */
  static async start(context: GatewayContext, options: FrontsOptions): Promise<Fronts> {
    const fronts = new Fronts(context, options);
    try {
      await fronts.#start();
      return fronts;
    } catch (error) {
      await fronts.close(0);
      throw error;
    }
  }

  /** Fronts that take connections. */
  get count(): number {
    return this.#open.size;
  }

  get listening(): boolean {
    return this.#acceptor.listening;
  }

  /** 0 at a unix socket. */
  get port(): number {
    return (this.#acceptor.address() as Partial<AddressInfo>).port ?? 0;
  }

  /** Process ids of the fronts. */
  get pids(): number[] {
    return [...this.#fronts].flatMap(({ pid }) => pid ?? []);
  }

  /** Of all fronts together. */
  figures(): FrontFigures {
    const connections: Record<string, number> = { unproven: 0, idle: 0, busy: 0 };
    let bodyBytes = 0;
    let answerBytes = 0;
    for (const { figures } of this.#fronts) {
      for (const [state, count] of Object.entries(figures.connections)) {
        connections[state] = (connections[state] ?? 0) + count;
      }
      bodyBytes += figures.bodyBytes;
      answerBytes += figures.answerBytes;
    }
    return { connections, bodyBytes, answerBytes };
  }

  listen(place: ListenPlace): Promise<void> {
    return listen(this.#acceptor, place);
  }

  /** Settings have changed. */
  apply(): void {
    for (const front of this.#fronts) {
      front.post({ kind: 'settings', settings: this.#options.settings() });
      front.renewEngines();
    }
  }

  /** Answers may finish within the grace period. @returns how many were broken off */
  async close(graceMs: number): Promise<number> {
    if (this.listening) await acceptWaiting(this.#acceptor);
    this.#stopping = true;
    this.#acceptor.close();
    const fronts = [...this.#fronts];
    for (const front of fronts) front.post({ kind: 'stop', graceMs });
    await until(() => this.#fronts.size === 0, graceMs + stopMsMax);
    for (const front of this.#fronts) front.kill();
    await until(() => this.#fronts.size === 0, stopMsMax);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#inner.closeAllConnections();
    await new Promise((resolve) => this.#inner.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
    return fronts.reduce((sum, { brokenOffAnswers }) => sum + brokenOffAnswers, 0);
  }

  async #start(): Promise<void> {
    const { count } = this.#options;
    await listening(this.#inner, () => this.#inner.listen(this.#ownerSocket));
    for (let i = 0; i < count; i++) this.#add();
    this.#timer = setInterval(() => this.#look(), modelsIntervalMs);
    const started = await until(() => this.#open.size === count || this.#fronts.size < count, startMsMax);
    if (!started || this.#open.size < count) throw new Error('a process for connections did not start; see the log');
  }

  #add(): void {
    const bornMs = performance.now();
    const front = new FrontProcess(
      this.#context,
      {
        started: () => this.#open.add(front),
        ended: (_, reason) => this.#ended(front, reason, performance.now() - bornMs),
        engineId: (engine) => this.#engineId(engine),
      },
      { kind: 'start', settings: this.#options.settings(), ownerSocket: this.#ownerSocket },
    );
    front.post({ kind: 'models', models: frontModels(this.#context.pools) });
    this.#fronts.add(front);
  }

  #ended(front: FrontProcess, reason: string, ageMs: number): void {
    this.#open.delete(front);
    this.#fronts.delete(front);
    if (this.#stopping) return;
    this.#options.onDeath();
    this.#context.log.error({ pid: front.pid, reason }, 'a process for connections died; its streams are lost');
    setTimeout(() => this.#stopping || this.#add(), ageMs < youngMs ? youngMs : 0).unref();
  }

  #engineId(engine: Engine): number {
    const known = this.#engineIds.get(engine);
    if (known !== undefined) return known;
    const id = this.#nextEngineId++;
    this.#engineIds.set(engine, id);
    return id;
  }

  #handOver(socket: Socket): void {
    let least: FrontProcess | null = null;
    for (const front of this.#open) if (least === null || front.connections < least.connections) least = front;
    if (least === null) socket.destroy();
    else least.take(socket);
  }

  #look(): void {
    const models = frontModels(this.#context.pools);
    const text = JSON.stringify(models);
    if (text !== this.#models) {
      this.#models = text;
      for (const front of this.#fronts) front.post({ kind: 'models', models });
    }
    const engines = new Set(this.#context.engines);
    const nowMs = performance.now();
    for (const front of this.#fronts) {
      front.keepEngines(engines);
      if (this.#open.has(front) && nowMs - front.heardMs > silenceMsMax + figuresIntervalMs) front.kill();
    }
  }
}

/** Requests came over TLS to a front, so pages of this origin have an https origin. */
function markEncrypted(socket: Socket): void {
  Object.assign(socket, { encrypted: true });
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    listen();
  });
}
