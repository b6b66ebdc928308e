// A copy of what one worker's events have told, as of one moment, read in pieces: for another router of the same
// workers.

import type { BlockRows } from './block-rows.ts';
import type { Holdings } from './holdings.ts';

/** Blocks in the form of a store event that knows its sequence hashes. A handle that recurs has a further copy. */
export interface HeldPiece {
  /** Handles, two words each. */
  readonly hashes: Uint32Array;
  /** Sequence hashes, two words each; 0 for a handle that has come before. */
  readonly sequence: Uint32Array;
}

/**
 * Part of the table between two entries in a row. In the table's own order they would all go to one part of a smaller
 * table, where each insertion has to pass the others.
 */
const goldenRatio = 0.618;

const slotWords = 4;

export class HeldCopy {
  /** Entries of the copy: handles with all their copies. */
  readonly entryCount: number;
  /** By slot of the handle table: handle and sequence hash, two words each. An empty slot is 0. */
  readonly #slots: Uint32Array;
  readonly #slotCount: number;
  /** Has no divisor in common with `#slotCount`, whose only prime factors are 2 and 3. */
  readonly #step: number;
  /** Handle (two words) and number of further copies. */
  readonly #further: number[] = [];
  #passed = 0;
  #furtherAt = 0;

  /** Copies the table in one step. O(blocks held) */
  constructor({ handles, copies }: Holdings, rows: BlockRows) {
    this.#slotCount = handles.slots.length / handles.stride;
    this.#slots = new Uint32Array(this.#slotCount * slotWords);
    for (let from = handles.next(0); from >= 0; from = handles.next(from + handles.stride)) {
      const to = (from / handles.stride) * slotWords;
      const block = handles.slots[from + 2]!;
      this.#slots[to] = handles.slots[from]!;
      this.#slots[to + 1] = handles.slots[from + 1]!;
      this.#slots[to + 2] = rows.low(block);
      this.#slots[to + 3] = rows.high(block);
    }
    const step = Math.floor(this.#slotCount * goldenRatio) | 1;
    this.#step = step % 3 === 0 ? step + 2 : step;
    let furtherCount = 0;
    for (let at = copies.next(0); at >= 0; at = copies.next(at + copies.stride)) {
      const count = copies.slots[at + 2]!;
      this.#further.push(copies.slots[at]!, copies.slots[at + 1]!, count);
      furtherCount += count;
    }
    this.entryCount = handles.size + furtherCount;
  }

  get bytes(): number {
    return this.#slots.byteLength + 8 * this.#further.length;
  }

  /** The next entries; null after the last. O(table slots passed) */
  next(entriesMax: number): HeldPiece | null {
    const hashes = new Uint32Array(2 * entriesMax);
    const sequence = new Uint32Array(2 * entriesMax);
    let words = 0;
    const slots = this.#slots;
    while (words < hashes.length && this.#passed < this.#slotCount) {
      const at = ((this.#passed * this.#step) % this.#slotCount) * slotWords;
      this.#passed++;
      if ((slots[at]! | slots[at + 1]!) === 0) continue;
      hashes[words] = slots[at]!;
      hashes[words + 1] = slots[at + 1]!;
      sequence[words] = slots[at + 2]!;
      sequence[words + 1] = slots[at + 3]!;
      words += 2;
    }
    const further = this.#further;
    while (words < hashes.length && this.#furtherAt < further.length) {
      const at = this.#furtherAt;
      hashes[words] = further[at]!;
      hashes[words + 1] = further[at + 1]!;
      words += 2;
      further[at + 2] = further[at + 2]! - 1;
      if (further[at + 2] === 0) this.#furtherAt += 3;
    }
    return words === 0 ? null : { hashes: hashes.slice(0, words), sequence: sequence.slice(0, words) };
  }
}
