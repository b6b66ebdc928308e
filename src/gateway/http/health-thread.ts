// Starts the health thread, tells it how the event loop is, and replaces it if it dies.

import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { builtEntry } from '../../tokens/built-entry.ts';
import type { TlsIdentity } from '../config/pem-files.ts';
import type { HealthFacts } from './health-answers.ts';
import { HealthBoard } from './health-board.ts';

/** The thread's `workerData`. */
export interface HealthThreadData {
  readonly memory: SharedArrayBuffer;
  readonly host: string;
  readonly port: number;
  /** Null: plain HTTP. */
  readonly tls: TlsIdentity | null;
  readonly silenceMsMax: number;
}

/** What the thread tells of its listener. */
export type HealthThreadNews =
  | { readonly kind: 'listens'; readonly port: number }
  | { readonly kind: 'failed'; readonly code: string | null; readonly message: string };

export interface HealthThreadOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsIdentity | null;
  facts(): Omit<HealthFacts, 'hungMs'>;
  readonly log: Logger;
  /** Default: `silenceMsMax`. */
  readonly silenceMsMax?: number;
}

/** An event loop that has not turned for longer hangs. No turn of a gateway that works takes a second. */
const silenceMsMax = 10_000;
/** How often the event loop shows that it turns. */
const beatIntervalMs = 200;
/** From the death of a thread to its successor. */
const restartMs = 500;
/** It answers probes and holds a few strings. */
const heapMibMax = 32;

const entry: URL = builtEntry(import.meta.url, 'health-thread-entry');

/** A health listener that can't be opened; `code` as of the system, or null. */
export class HealthListenError extends Error {
  readonly code: string | null;

  constructor(code: string | null, message: string) {
    super(message);
    this.code = code;
  }
}

export class HealthThread {
  readonly #options: HealthThreadOptions;
  readonly #board: HealthBoard = new HealthBoard();
  readonly #beat: NodeJS.Timeout;
  #tls: TlsIdentity | null;
  #port: number;
  #worker: Worker | null = null;
  #restart: NodeJS.Timeout | null = null;
  #listened = false;
  #closed = false;

  private constructor(options: HealthThreadOptions) {
    this.#options = options;
    this.#tls = options.tls;
    this.#port = options.port;
    this.beat();
    this.#beat = setInterval(() => this.beat(), beatIntervalMs);
    this.#beat.unref();
  }

  /** Resolves once it listens. @throws HealthListenError */
  static async start(options: HealthThreadOptions): Promise<HealthThread> {
    const thread = new HealthThread(options);
    try {
      await thread.#start();
      return thread;
    } catch (error) {
      await thread.close();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** For tests: ends the thread as a fault would. */
  async kill(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Shows that the event loop turns, and how the gateway is; to be called when that has changed. */
  beat(): void {
    this.#board.beat(this.#options.facts());
  }

  /** A reload has brought another certificate. */
  renew(tls: TlsIdentity): void {
    if (this.#tls === null) return;
    this.#tls = tls;
    this.#worker?.postMessage(tls);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#beat);
    if (this.#restart !== null) clearTimeout(this.#restart);
    await this.#worker?.terminate();
  }

  async #start(): Promise<void> {
    const data: HealthThreadData = {
      memory: this.#board.memory,
      host: this.#options.host,
      port: this.#port,
      tls: this.#tls,
      silenceMsMax: this.#options.silenceMsMax ?? silenceMsMax,
    };
    const worker = this.#made(data);
    this.#worker = worker;
    worker.unref();
    await new Promise<void>((resolve, reject) => {
      let fault = 'it ended';
      worker.on('message', (news: HealthThreadNews) => {
        if (news.kind === 'failed') {
          fault = news.message;
          reject(new HealthListenError(news.code, news.message));
          void worker.terminate();
          return;
        }
        this.#port = news.port;
        this.#listened = true;
        resolve();
      });
      worker.on('error', (error) => {
        fault = String(error);
      });
      worker.on('exit', () => {
        this.#worker = null;
        reject(new HealthListenError(null, fault));
        this.#replace(fault);
      });
    });
  }

  /** @throws HealthListenError if the system gives no thread */
  #made(data: HealthThreadData): Worker {
    try {
      return new Worker(entry, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: heapMibMax } });
    } catch (error) {
      this.#replace(String(error));
      throw new HealthListenError(null, String(error));
    }
  }

  #replace(fault: string): void {
    if (this.#closed || !this.#listened) return;
    this.#options.log.error({ port: this.#port, reason: fault }, 'the health thread died; a new one is started');
    this.#restart = setTimeout(() => {
      // A failure to start is an exit too, which leads here again.
      this.#start().then(
        () => this.#options.log.info({ port: this.#port }, 'the health thread answers again'),
        () => undefined,
      );
    }, restartMs).unref();
  }
}
