// Has large bodies read by a thread, so that the event loop is not held: decoding, parsing, looking for their members.

import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { builtEntry } from '../../tokens/built-entry.ts';
import { postInPieces } from '../../tokens/in-pieces.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { errorOf } from '../exchange/sent-error.ts';
import type { Reading, ReadingReply, ReadingRequest, ReadingTask } from './reading-messages.ts';

/** A thread without work ends: it may hold the garbage of large bodies, which only work would collect. */
const idleMsMax = 2000;
/** A thread that has bodies and answers none for so long is stuck: the largest body takes a few seconds. */
const silenceMsMax = 60_000;

const threadEntry: URL = builtEntry(import.meta.url, 'reading-thread-entry');

/** The client whose body is read. */
export interface BodySender {
  readonly gone: boolean;
  /** Calls back once, when it is gone. */
  whenGone(callback: () => void): void;
}

export interface ReadingThreadOptions {
  /** Told why the thread died. */
  readonly onDeath?: (reason: string) => void;
  /** Default: `idleMsMax`. */
  readonly idleMsMax?: number;
  /** Default: `silenceMsMax`. */
  readonly silenceMsMax?: number;
  /** The module that the thread runs. */
  readonly entry?: URL;
}

interface Waiting<Read> {
  resolve(reading: Read | null): void;
  reject(error: Error): void;
}

/**
 * The thread starts with the first body, and again after it ended. What waits is bounded by the memory for bodies
 * (`bodiesBytesMax`).
 */
export class ReadingThread<
  Task extends { readonly kind: string } = ReadingTask,
  Read extends { readonly kind: string } = Reading,
> {
  readonly #options: ReadingThreadOptions;
  readonly #waiting = new Map<number, Waiting<Read>>();
  #nextId = 1;
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | null = null;
  /** Runs while bodies wait; begins again with each answer. */
  #silence: NodeJS.Timeout | null = null;
  #answers = 0;
  #closed = false;

  constructor(options: ReadingThreadOptions = {}) {
    this.#options = options;
  }

  /**
   * @param body must not change until the promise settles
   * @returns null if the client is gone
   * @throws RequestError 400 as the reader's, 503 if the thread died
   */
  async read<One extends Task>(
    task: One,
    body: Buffer,
    sender: BodySender,
  ): Promise<Extract<Read, { kind: One['kind'] }> | null> {
    if (this.#closed) throw unread();
    const worker = this.#working();
    const id = this.#nextId++;
    const reading = new Promise<Read | null>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#silence ??= setTimeout(() => this.#judge(worker), this.#options.silenceMsMax ?? silenceMsMax).unref();
    // The thread may die before the last piece is posted.
    reading.catch(() => undefined);
    sender.whenGone(() => this.#drop(id));
    const post = (request: ReadingRequest<Task>): void => worker.postMessage(request);
    const isWanted = (): boolean => this.#waiting.has(id);
    const isPosted = await postInPieces(id, body, (piece) => post({ kind: 'piece', id, piece }), isWanted);
    if (isPosted && isWanted()) post({ kind: 'read', id, task });
    return (await reading) as Extract<Read, { kind: One['kind'] }> | null;
  }

  /** Readings under way fail. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === null) return;
    this.#abandon(worker);
    await worker.terminate();
  }

  #working(): Worker {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    const worker = this.#worker ?? this.#start();
    worker.ref();
    return worker;
  }

  /** @throws RequestError 503 if the system gives no thread */
  #start(): Worker {
    let worker: Worker;
    try {
      worker = new Worker(this.#options.entry ?? threadEntry);
    } catch (error) {
      this.#options.onDeath?.(String(error));
      throw unread();
    }
    this.#worker = worker;
    const died = (reason: string): void => {
      if (this.#worker === worker) this.#options.onDeath?.(reason);
      this.#abandon(worker);
    };
    worker.on('message', (reply: ReadingReply<Read>) => this.#settle(reply));
    worker.on('error', (error) => died(String(error)));
    worker.on('exit', (code) => died(`exit code ${code}`));
    return worker;
  }

  /** After a pause of the whole process, answers may be on their way: they come in this turn of the event loop. */
  #judge(worker: Worker): void {
    const before = this.#answers;
    setImmediate(() => {
      if (this.#worker !== worker || this.#answers !== before || this.#waiting.size === 0) return;
      this.#options.onDeath?.('it answers nothing');
      this.#abandon(worker);
      void worker.terminate();
    });
  }

  #settle(reply: ReadingReply<Read>): void {
    this.#answers += 1;
    this.#silence?.refresh();
    const waiting = this.#forget(reply.id);
    if (waiting === undefined) return;
    if (reply.kind === 'read') {
      waiting.resolve(reply.reading);
      return;
    }
    waiting.reject(errorOf(reply.error));
  }

  /** The client is gone. */
  #drop(id: number): void {
    const waiting = this.#forget(id);
    if (waiting === undefined) return;
    this.#worker?.postMessage({ kind: 'drop', id } satisfies ReadingRequest);
    waiting.resolve(null);
  }

  #forget(id: number): Waiting<Read> | undefined {
    const waiting = this.#waiting.get(id);
    if (!this.#waiting.delete(id) || this.#waiting.size > 0) return waiting;
    this.#quiet();
    this.#worker?.unref();
    this.#idle = setTimeout(() => this.#rest(), this.#options.idleMsMax ?? idleMsMax).unref();
    return waiting;
  }

  #quiet(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#silence = null;
  }

  #rest(): void {
    const worker = this.#worker;
    this.#worker = null;
    this.#idle = null;
    void worker?.terminate();
  }

  /** Fails everything that waits for this thread; does nothing if it was abandoned before. */
  #abandon(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    this.#quiet();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(unread());
  }
}

export function logDeath(log: Pick<Logger, 'error'>): ReadingThreadOptions {
  return { onDeath: (reason) => log.error({ reason }, 'the thread that reads large bodies died') };
}

function unread(): RequestError {
  return new RequestError(503, 'body_unread', 'the thread that reads large bodies ended; try again', null, 1);
}
