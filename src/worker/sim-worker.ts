// One simulated engine with its sockets: start, kill, restart on the same ports.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EngineOptions } from '../sim/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';
import { EngineRuntime } from './engine-runtime.ts';
import { HttpServer } from './http-server.ts';
import { KvPublisher, type KvPublisherOptions } from './kv-publisher.ts';
import type { OutputVocabulary } from './output-vocabulary.ts';

/** Idle time after which a connection is closed, as in uvicorn. */
const keepAliveMs = 5000;

export interface SimWorkerOptions {
  readonly host: string;
  /** 0: any free port, kept for later starts. */
  readonly port: number;
  /** Null: no KV events. Ports of 0: any free ports, kept for later starts. */
  readonly kvEvents: KvPublisherOptions | null;
  readonly model: string;
  readonly apiKey: string | null;
  readonly apiOverheadMs: number;
  readonly speedup: number;
  readonly seed: number;
  readonly engine: EngineOptions;
  readonly tokenizer: Tokenizer;
  readonly vocabulary: OutputVocabulary;
}

interface Running {
  readonly server: Server;
  readonly runtime: EngineRuntime;
  readonly publisher: KvPublisher | null;
}

export class SimWorker {
  readonly #options: SimWorkerOptions;
  #port: number;
  #kvEvents: KvPublisherOptions | null;
  #kvEventsEndpoint: string | null = null;
  #running: Running | null = null;

  constructor(options: SimWorkerOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#kvEvents = options.kvEvents;
  }

  /** Known after the first start. */
  get url(): string {
    return `http://${this.#options.host}:${this.#port}`;
  }

  /** Endpoint of the event publisher, known after the first start. Null: no KV events. */
  get kvEvents(): string | null {
    return this.#kvEventsEndpoint;
  }

  /** The running engine. Null after a kill. */
  get runtime(): EngineRuntime | null {
    return this.#running?.runtime ?? null;
  }

  /** The publisher of the running engine. Null after a kill or without KV events. */
  get publisher(): KvPublisher | null {
    return this.#running?.publisher ?? null;
  }

  /** Starts an empty engine whose event batches start at 0. @throws Error naming the address that is not available */
  async start(): Promise<void> {
    if (this.#running !== null) return;
    const options = this.#options;
    const publisher = this.#kvEvents === null ? null : await KvPublisher.open(this.#kvEvents);
    const runtime = new EngineRuntime(options.engine, options.speedup, publisher);
    const http = new HttpServer({
      ...options,
      runtime,
      publisher,
      blockSize: options.engine.blockSize,
      blocks: options.engine.blocks,
      apiOverheadMs: options.apiOverheadMs / options.speedup,
    });
    const server = createServer({ keepAliveTimeout: keepAliveMs }, http.handle);
    try {
      await listen(server, options.host, this.#port);
    } catch (error) {
      runtime.stop();
      throw new Error(`no HTTP server on ${options.host}:${this.#port}: ${(error as Error).message}`, { cause: error });
    }
    this.#port = (server.address() as AddressInfo).port;
    if (publisher !== null) {
      const { options: given, endpoint, port, replayPort } = publisher;
      this.#kvEvents = { ...given, port: port ?? given.port, replayPort: replayPort ?? given.replayPort };
      this.#kvEventsEndpoint = endpoint;
    }
    this.#running = { server, runtime, publisher };
  }

  /** Simulates a crash: drops every socket at once without a goodbye. Resolves when the port is free. */
  async kill(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.runtime.stop();
    const closed = new Promise<void>((resolve) => running.server.close(() => resolve()));
    running.server.closeAllConnections();
    await closed;
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
