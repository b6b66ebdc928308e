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

const copyWords = 4;

export class HeldCopy {
  /** Entries of the copy: handles with all their copies. */
  readonly entryCount: number;
  /** Handle and sequence hash, two words each. */
  readonly #told: Uint32Array;
  /** Handle (two words) and number of further copies. */
  readonly #further: number[] = [];
  #toldAt = 0;
  #furtherAt = 0;

  /** Copies the table in one step. O(blocks held) */
  constructor({ handles, copies }: Holdings, rows: BlockRows) {
    this.#told = new Uint32Array(handles.size * copyWords);
    let to = 0;
    for (let from = handles.next(0); from >= 0; from = handles.next(from + handles.stride)) {
      const block = handles.entries[from + 2]!;
      this.#told[to] = handles.entries[from]!;
      this.#told[to + 1] = handles.entries[from + 1]!;
      this.#told[to + 2] = rows.low(block);
      this.#told[to + 3] = rows.high(block);
      to += copyWords;
    }
    let furtherCount = 0;
    for (let at = copies.next(0); at >= 0; at = copies.next(at + copies.stride)) {
      const count = copies.slots[at + 2]!;
      this.#further.push(copies.slots[at]!, copies.slots[at + 1]!, count);
      furtherCount += count;
    }
    this.entryCount = handles.size + furtherCount;
  }

  get bytes(): number {
    return this.#told.byteLength + 8 * this.#further.length;
  }

  /** The next entries; null after the last. O(entries) */
  next(entriesMax: number): HeldPiece | null {
    const hashes = new Uint32Array(2 * entriesMax);
    const sequence = new Uint32Array(2 * entriesMax);
    let words = 0;
    const told = this.#told;
    for (; words < hashes.length && this.#toldAt < told.length; words += 2, this.#toldAt += copyWords) {
      hashes[words] = told[this.#toldAt]!;
      hashes[words + 1] = told[this.#toldAt + 1]!;
      sequence[words] = told[this.#toldAt + 2]!;
      sequence[words + 1] = told[this.#toldAt + 3]!;
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
