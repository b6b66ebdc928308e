// Handles of one worker: from an engine's hash of a block (two words) to the block's number.
//
// The handles stand in a dense array, with a hash index of one word a slot in front of it. So a worker-block takes less
// memory than in a table whose slots have three words and are half empty, and the handles of an event, which come in a
// row, are neighbours also when they are removed.

import { assert } from '../assert.ts';
import { noBlock } from './block-numbers.ts';
import { longer } from './compacted-rows.ts';
import { EntryIndex } from './entry-index.ts';

/** Words of an entry: handle (low, high), value. A free one: 0, 0, the next free one. */
const stride = 3;
const capacityMin = 16;
/** Smaller tables double, which is more memory and fewer copies. */
const slowFrom = 2048;
/** Stands for handle 0, since 0 marks a free entry. Adds one collision in 2^64. */
const zeroLow = 0x9e3779b9 | 0;

/**
 * Offsets of entries are those of their first words in `entries`, valid until the entry is removed or the table becomes
 * smaller, which `remove` does. Handles are taken as signed or unsigned words.
 */
export class HandleTable {
  /** Do not keep this reference across `insert`, `insertAll` or `remove`, which may replace the array. */
  entries: Int32Array = new Int32Array(capacityMin * stride);
  /** Whether the last `insert` added an entry. Its value is 0. */
  inserted = false;
  #index = new EntryIndex(capacityMin, stride);
  #size = 0;
  /** The free entries before `#end`, the one that became free last first. */
  #free = noBlock;
  /** Entries from here on were never used. */
  #end = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.entries.byteLength + this.#index.bytes;
  }

  /** Words from one entry to the next. */
  get stride(): number {
    return stride;
  }

  get capacity(): number {
    return this.entries.length / stride;
  }

  /** Whether the entry is in use. */
  has(number: number): boolean {
    return (this.entries[number * stride]! | this.entries[number * stride + 1]!) !== 0;
  }

  /** Offset of the handle's entry, or -1. O(1) expected */
  find(low: number, high: number): number {
    const found = this.#index.find(this.entries, keyLow(low, high), high | 0);
    return found === noBlock ? -1 : found * stride;
  }

  /** See `EntryIndex.touch`. */
  touch(keys: Uint32Array, from: number, to: number): void {
    this.#index.touch(keys, from, to);
  }

  /** Offset of the handle's entry, which is added if missing (see `inserted`). O(1) expected */
  insert(low: number, high: number): number {
    this.#reserve(1);
    const at = this.#insert(keyLow(low, high), high | 0);
    this.inserted = at >= 0;
    return at < 0 ? ~at : at;
  }

  /**
   * Like `insert`, for `count` handles of two words each.
   * @param offsets gets the offset of each one's entry. If the handle was there before, or comes for the second time, it
   * is ~offset
   */
  insertAll(keys: Uint32Array, count: number, offsets: Int32Array): void {
    this.#reserve(count);
    this.#index.touch(keys, 0, 2 * count);
    for (let i = 0; i < count; i++) {
      const high = keys[2 * i + 1]! | 0;
      offsets[i] = this.#insert(keyLow(keys[2 * i]! | 0, high), high);
    }
  }

  /** Removes the entry at an offset. O(1) expected, and nothing is searched right after the `find` of its handle. */
  remove(at: number): void {
    const { entries } = this;
    const number = at / stride;
    this.#index.leave(number, entries);
    entries[at] = 0;
    entries[at + 1] = 0;
    entries[at + 2] = this.#free;
    this.#free = number;
    this.#size--;
    if (this.#size * 8 < this.capacity && this.capacity > capacityMin) this.#compact();
  }

  clear(): void {
    this.#start(capacityMin);
  }

  /** Offset of the first entry at or after `at`, or -1: `for (let at = t.next(0); at >= 0; at = t.next(at + t.stride))`. */
  next(at: number): number {
    const { entries } = this;
    for (let offset = at; offset < this.#end * stride; offset += stride) {
      if ((entries[offset]! | entries[offset + 1]!) !== 0) return offset;
    }
    return -1;
  }

  /** @throws Error naming what is wrong */
  assertConsistent(): void {
    let used = 0;
    for (let at = this.next(0); at >= 0; at = this.next(at + stride)) {
      used++;
      assert(this.find(this.entries[at]!, this.entries[at + 1]!) === at, 'the index leads to every handle');
    }
    assert(used === this.#size, 'the handles are counted');
    let free = 0;
    for (let number = this.#free; number !== noBlock; number = this.entries[number * stride + 2]!) {
      assert(!this.has(number), 'free entries have no handle');
      free++;
    }
    assert(free + used === this.#end, 'every entry is in use or free');
    this.#index.assertConsistent(used, this);
  }

  /** @returns ~offset if the handle was there before */
  #insert(low: number, high: number): number {
    const { entries } = this;
    const index = this.#index;
    const found = index.find(entries, low, high);
    if (found !== noBlock) return ~(found * stride);
    let number = this.#free;
    if (number === noBlock) number = this.#end++;
    else this.#free = entries[number * stride + 2]!;
    index.enterFound(number);
    const at = number * stride;
    entries[at] = low;
    entries[at + 1] = high;
    entries[at + 2] = 0;
    this.#size++;
    return at;
  }

  /** Makes room for so many more handles. */
  #reserve(count: number): void {
    const { capacity } = this;
    if (this.#size + count <= capacity) return;
    const larger = Math.max(this.#size + count, capacity + (capacity < slowFrom ? capacity : capacity >>> 2));
    this.entries = longer(this.entries, larger * stride);
    if (!this.#index.fits(larger)) this.#index.fill(this.entries, this);
  }

  /** Moves the handles into a smaller array. */
  #compact(): void {
    const { entries } = this;
    const end = this.#end;
    this.#start(Math.max(capacityMin, 2 * this.#size));
    for (let from = 0; from < end * stride; from += stride) {
      if ((entries[from]! | entries[from + 1]!) === 0) continue;
      this.entries[this.insert(entries[from]!, entries[from + 1]!) + 2] = entries[from + 2]!;
    }
  }

  #start(capacity: number): void {
    this.entries = new Int32Array(capacity * stride);
    this.#index = new EntryIndex(capacity, stride);
    this.#size = 0;
    this.#free = noBlock;
    this.#end = 0;
  }
}

function keyLow(low: number, high: number): number {
  return (low | high) === 0 ? zeroLow : low | 0;
}
