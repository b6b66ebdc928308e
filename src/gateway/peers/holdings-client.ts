// Asks other replicas for what they know of a worker's blocks.

import type { BlocksStored } from '../../core/index.ts';
import type { PeerCopy } from '../feeds/peer-copy.ts';
import { type HoldingsAnswer, holdingsVersion, readAnswer, writeQuestion } from './holdings-format.ts';

/** Workers copied at a time. */
const copyingMax = 2;
/** Replicas asked for one worker. */
const askedMax = 4;
const openMsMax = 1000;
const pieceMsMax = 2000;
/** Time after the start in which other replicas may still be unknown. */
const foundMsMax = 1500;
const foundLookMs = 20;
/** Entries of all pieces of one copy; the reader of events has a limit of its own for each worker. */
const entriesMax = 33_554_432;

export interface Asking {
  /** Ids of the other replicas that are there, most likely whole first. */
  replicas(): readonly string[];
  /** Whether others may still be found. */
  isFinding(): boolean;
  ask(replica: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array | null>;
}

export class HoldingsClient {
  readonly #asking: Asking;
  readonly #sinceMs = performance.now();
  #copying = 0;
  readonly #waiting: (() => void)[] = [];
  #received = 0;
  #refused = 0;

  constructor(asking: Asking) {
    this.#asking = asking;
  }

  /** Copies taken over, and questions that no replica could answer. */
  get counts(): { readonly received: number; readonly refused: number } {
    return { received: this.#received, refused: this.#refused };
  }

  /** A `CopySource`. */
  async copyOf(worker: string, seqMin: number, signal: AbortSignal): Promise<PeerCopy | null> {
    await this.#found(signal);
    const release = await this.#place();
    for (const replica of this.#asking.replicas().slice(0, askedMax)) {
      if (signal.aborted) break;
      const opened = await this.#ask(replica, { version: holdingsVersion, kind: 'open', worker, seqMin }, openMsMax);
      if (opened?.answer.kind === 'opened') return this.#copyFrom(replica, opened.answer, release);
    }
    release();
    this.#refused += 1;
    return null;
  }

  /** A replica that has just started must hear of the others first. */
  async #found(signal: AbortSignal): Promise<void> {
    while (this.#asking.replicas().length === 0 && this.#asking.isFinding() && !signal.aborted) {
      if (performance.now() - this.#sinceMs > foundMsMax) return;
      await new Promise((resolve) => setTimeout(resolve, foundLookMs));
    }
  }

  async #place(): Promise<() => void> {
    if (this.#copying >= copyingMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#copying += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#copying -= 1;
      else next();
    };
  }

  #copyFrom(replica: string, opened: Extract<HoldingsAnswer, { kind: 'opened' }>, release: () => void): PeerCopy {
    const { seq, prints, blockSize, copy, entries } = opened;
    // A copy that is opened and never read must not keep its place.
    const timer = setTimeout(release, pieceMsMax).unref();
    const client = this;
    return {
      seq,
      prints,
      blockSize,
      async *pieces() {
        clearTimeout(timer);
        try {
          yield* client.#pieces(replica, copy, blockSize, Math.min(entries, entriesMax));
        } finally {
          release();
        }
      },
    };
  }

  /** Ends with null if the copy breaks off, or has more than was announced. */
  async *#pieces(
    replica: string,
    copy: string,
    blockSize: number,
    entries: number,
  ): AsyncGenerator<BlocksStored | null> {
    let left = entries;
    for (let piece = 0; ; piece++) {
      const framed = await this.#ask(replica, { version: holdingsVersion, kind: 'next', copy, piece }, pieceMsMax);
      if (framed?.answer.kind !== 'piece' || framed.words.length % 4 !== 0) break;
      const { words } = framed;
      if (framed.answer.isLast) {
        if (left !== 0) break;
        this.#received += 1;
        return;
      }
      left -= words.length / 4;
      if (words.length === 0 || left < 0) break;
      yield storeOf(words, blockSize);
    }
    yield null;
  }

  async #ask(
    replica: string,
    question: Parameters<typeof writeQuestion>[0],
    timeoutMs: number,
  ): Promise<ReturnType<typeof readAnswer>> {
    const bytes = await this.#asking.ask(replica, writeQuestion(question), timeoutMs);
    return bytes === null ? null : readAnswer(bytes);
  }
}

function storeOf(words: Uint32Array, blockSize: number): BlocksStored {
  const half = words.length / 2;
  return {
    kind: 'stored',
    hashes: words.subarray(0, half),
    sequence: words.subarray(half),
    parent: null,
    tokens: noTokens,
    blockSize,
    lora: null,
    salt: null,
    extras: null,
  };
}

const noTokens = new Uint32Array(0);
