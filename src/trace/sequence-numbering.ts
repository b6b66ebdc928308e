// Numbering of 64-bit sequence hashes in order of first appearance, with bounded memory.

import { assert } from '../core/assert.ts';
import { HashTable } from '../core/blocks/hash-table.ts';

/** Block ids are Int32. */
const numbersMax = 2 ** 31;

/**
 * Remembers between `blocksMax / 2` and `blocksMax` distinct hashes, in two generations: when the young one is full,
 * the old one is dropped. A forgotten hash gets a new number, so sharing may be missed but is never invented.
 */
export class SequenceNumbering {
  /** About 100 MB. */
  static readonly blocksMaxDefault = 4_000_000;

  readonly #generationMax: number;
  #young = new HashTable(1);
  #old = new HashTable(1);
  #next = 0;

  constructor(blocksMax: number = SequenceNumbering.blocksMaxDefault) {
    assert(blocksMax >= 2, 'each of two generations has space for a block');
    this.#generationMax = Math.floor(blocksMax / 2);
  }

  /** Numbers given so far. */
  get count(): number {
    return this.#next;
  }

  /** Distinct hashes in memory, those in both generations twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** @param sequence two words (low, high) per hash */
  numbers(sequence: Uint32Array, count: number): Int32Array {
    const numbers = new Int32Array(count);
    for (let block = 0; block < count; block++) {
      numbers[block] = this.#number(sequence[2 * block]!, sequence[2 * block + 1]!);
    }
    return numbers;
  }

  #number(low: number, high: number): number {
    const known = this.#young.find(low, high);
    if (known >= 0) return this.#young.slots[known + 2]!;
    const remembered = this.#old.find(low, high);
    const number = remembered >= 0 ? this.#old.slots[remembered + 2]! : this.#fresh();
    if (this.#young.size >= this.#generationMax) {
      this.#old = this.#young;
      this.#young = new HashTable(1);
    }
    // Read the slots after the insertion, which may replace the array.
    const at = this.#young.insert(low, high);
    this.#young.slots[at + 2] = number;
    return number;
  }

  #fresh(): number {
    assert(this.#next < numbersMax, 'fewer than 2^31 blocks are numbered');
    return this.#next++;
  }
}
