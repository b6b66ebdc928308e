// One worker thread that tokenizes for this one: a bounded queue of texts in, ids out, a new thread after a death.
import { Worker } from 'node:worker_threads';
import { TokenizerError, type TokenizerErrorCode } from './tokenizer.ts';

/** What the thread is to load. */
export type ThreadSource =
  | { readonly kind: 'builtin' }
  /** An image that was checked or just made (tokenizer-image.ts). */
  | { readonly kind: 'byte-level'; readonly image: SharedArrayBuffer }
  /** `configFile` is the tokenizer_config.json beside the other, where there is one. */
  | { readonly kind: 'hugging-face'; readonly tokenizerFile: string; readonly configFile: string | null };

export type ThreadTask =
  | { readonly kind: 'describe' }
  | { readonly kind: 'encode'; readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly kind: 'decode'; readonly ids: Uint32Array };

/** What was loaded: the answer to `describe`. */
export interface TokenizerDescription {
  readonly vocabSize: number;
  /** Texts of the added tokens. */
  readonly addedTokens: readonly string[];
}

export type ThreadResult = TokenizerDescription | Uint32Array | string;

/** Requests are answered in order, each once, under the request's id. */
export interface ThreadRequest {
  readonly id: number;
  readonly task: ThreadTask;
}

export type ThreadReply =
  | { readonly kind: 'done'; readonly id: number; readonly result: ThreadResult }
  | { readonly kind: 'failed'; readonly id: number; readonly code: TokenizerErrorCode; readonly reason: string };

export interface ThreadOptions {
  /** Texts that may wait or be at work; one more fails with `queue-full`. */
  readonly queuedTextsMax?: number | undefined;
  /** The module that the thread runs. */
  readonly entry?: URL | undefined;
}

interface Waiting {
  resolve(result: ThreadResult): void;
  reject(error: TokenizerError): void;
}

const queuedTextsMax = 1024;

/**
 * Node 20 runs no TypeScript. So where this file itself is the source (under vitest) the thread runs what the build
 * made of its neighbour; `npm test` builds first.
 */
const builtEntry: URL = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/tokens/tokenizer-thread-entry.js' : './tokenizer-thread-entry.js',
  import.meta.url,
);

/**
 * The thread starts with the first call, and again with the first call after its death. It does not keep the process
 * alive while nothing waits for it. Every call may fail with `queue-full`, `thread-died`, `tokenizer-unsupported`
 * (nothing could be loaded), `tokenizer-failed` (this input) or `closed`.
 */
export class TokenizerThread {
  readonly #source: ThreadSource;
  readonly #queuedTextsMax: number;
  readonly #entry: URL;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #worker: Worker | undefined;
  #closed = false;

  constructor(source: ThreadSource, options: ThreadOptions = {}) {
    this.#source = source;
    this.#queuedTextsMax = options.queuedTextsMax ?? queuedTextsMax;
    this.#entry = options.entry ?? builtEntry;
  }

  async describe(): Promise<TokenizerDescription> {
    return (await this.#ask({ kind: 'describe' })) as TokenizerDescription;
  }

  async encode(text: string, addSpecialTokens: boolean): Promise<Uint32Array> {
    return (await this.#ask({ kind: 'encode', text, addSpecialTokens })) as Uint32Array;
  }

  async decode(ids: ArrayLike<number>): Promise<string> {
    return (await this.#ask({ kind: 'decode', ids: Uint32Array.from(ids) })) as string;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#abandon(worker, new TokenizerError('closed', 'the tokenizer was closed'));
    await worker.terminate();
  }

  #ask(task: ThreadTask): Promise<ThreadResult> {
    if (this.#closed) throw new TokenizerError('closed', 'the tokenizer was closed');
    if (this.#waiting.size >= this.#queuedTextsMax) {
      throw new TokenizerError('queue-full', `${this.#queuedTextsMax} texts wait for the tokenizer already`);
    }
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, task } satisfies ThreadRequest);
    });
  }

  #start(): Worker {
    const worker = new Worker(this.#entry, { workerData: this.#source });
    worker.on('message', (reply: ThreadReply) => this.#settle(worker, reply));
    worker.on('error', (error) => this.#abandon(worker, died(String(error))));
    worker.on('exit', (code) => this.#abandon(worker, died(`exit code ${code}`)));
    return worker;
  }

  #settle(worker: Worker, reply: ThreadReply): void {
    const waiting = this.#waiting.get(reply.id);
    // Gone if the thread was abandoned between sending the reply and its arrival.
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) worker.unref();
    if (reply.kind === 'done') waiting.resolve(reply.result);
    else waiting.reject(new TokenizerError(reply.code, reply.reason));
  }

  /** Fails all that waits for this thread; a no-op for a thread that was abandoned before. */
  #abandon(worker: Worker, error: TokenizerError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}

function died(reason: string): TokenizerError {
  return new TokenizerError('thread-died', `the tokenizer's thread ended: ${reason}`);
}
