// Gives other replicas copies of what this one knows of its workers' blocks, piece by piece as they ask.

import { randomUUID } from 'node:crypto';
import type { HeldCopy } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';
import { type HoldingsQuestion, readQuestion, writeAnswer } from './holdings-format.ts';

/** Copies held at a time, and their bytes together; more are refused, and the asker tries another replica. */
export const copiesMax = 4;
export const copiesBytesMax = 134_217_728;
/** A copy that nobody reads is dropped. */
const copyIdleMsMax = 3000;
/** Entries of a piece: half a megabyte, and about two milliseconds of work. */
const pieceEntries = 32_768;
/** Time for this replica to read a batch that the asker has seen already. */
const behindMsMax = 400;
const behindLookMs = 20;

interface Lent {
  readonly copy: HeldCopy;
  piece: number;
  timer: NodeJS.Timeout;
}

export class HoldingsServer {
  readonly #find: (workerId: string) => Worker | undefined;
  readonly #lent = new Map<string, Lent>();
  #opening = 0;
  #served = 0;

  constructor(find: (workerId: string) => Worker | undefined) {
    this.#find = find;
  }

  /** Copies given away so far. */
  get served(): number {
    return this.#served;
  }

  /** @returns null: not a question that this version knows */
  async answer(bytes: Uint8Array): Promise<Uint8Array | null> {
    const question = readQuestion(bytes);
    if (question === null) return null;
    return question.kind === 'open' ? this.#open(question) : this.#next(question);
  }

  close(): void {
    for (const id of this.#lent.keys()) this.#drop(id);
  }

  async #open({ worker: workerId, seqMin }: Extract<HoldingsQuestion, { kind: 'open' }>): Promise<Uint8Array> {
    const worker = this.#find(workerId);
    const membership = worker?.membership ?? null;
    const feed = worker?.feed ?? null;
    if (worker === undefined || membership === null || feed === null) return refused('no events of this worker here');
    // Also answered at once if this feed itself waits for a copy.
    if (!feed.whole) return refused('its blocks are not known whole');
    if (this.#lent.size + this.#opening >= copiesMax) return refused('busy');
    this.#opening += 1;
    try {
      for (let waitedMs = 0; feed.status.lastSeq < seqMin && waitedMs < behindMsMax; waitedMs += behindLookMs) {
        await new Promise((resolve) => setTimeout(resolve, behindLookMs));
      }
      if (feed.status.lastSeq < seqMin) return refused('events not read yet');
      const copied = await feed.whenWhole((seq, prints) => ({
        seq,
        prints,
        copy: worker.membership === membership ? membership.router.heldCopy(membership.index) : null,
      }));
      if (copied === null || copied.copy === null || copied.seq < 0) return refused('its blocks are not known whole');
      const { copy, seq, prints } = copied;
      const heldBytes = [...this.#lent.values()].reduce((sum, lent) => sum + lent.copy.bytes, copy.bytes);
      if (heldBytes > copiesBytesMax) return refused('busy');
      const id = randomUUID();
      this.#lent.set(id, { copy, piece: 0, timer: this.#timer(id) });
      const { pageSize: blockSize } = worker.traits;
      const entries = copy.entryCount;
      return writeAnswer({ kind: 'opened', copy: id, seq, blockSize, entries, prints: prints.map((one) => [...one]) });
    } finally {
      this.#opening -= 1;
    }
  }

  #next({ copy: id, piece }: Extract<HoldingsQuestion, { kind: 'next' }>): Uint8Array {
    const lent = this.#lent.get(id);
    if (lent === undefined || lent.piece !== piece) return refused('no such copy');
    clearTimeout(lent.timer);
    const next = lent.copy.next(pieceEntries);
    if (next === null) {
      this.#drop(id);
      this.#served += 1;
      return writeAnswer({ kind: 'piece', isLast: true });
    }
    lent.piece += 1;
    lent.timer = this.#timer(id);
    const { hashes, sequence } = next;
    const words = new Uint32Array(2 * hashes.length);
    words.set(hashes);
    words.set(sequence, hashes.length);
    return writeAnswer({ kind: 'piece', isLast: false }, words);
  }

  #timer(id: string): NodeJS.Timeout {
    return setTimeout(() => this.#lent.delete(id), copyIdleMsMax).unref();
  }

  #drop(id: string): void {
    clearTimeout(this.#lent.get(id)?.timer);
    this.#lent.delete(id);
  }
}

function refused(reason: string): Uint8Array {
  return writeAnswer({ kind: 'refused', reason });
}
