// Hash table from 64-bit keys (two words) to a fixed number of 32-bit values, with open addressing in one typed array.

import { spread } from './home.ts';

/**
 * A slot is a low word, a high word and the values, all signed: V8 puts numbers from 2^31 on the heap. Keys are taken
 * as signed or unsigned words. `find` and `insert` return the offset of a slot's first word, valid
 * until the next `insert` or `remove`. Linear probing with backward shift leaves no tombstones, so constant churn needs
 * constant memory. The table also shrinks.
 */
export class HashTable {
  /** Do not keep this reference across `insert` or `remove`, which may replace the array. */
  slots: Int32Array;
  /** Whether the last `insert` added an entry. Its values are zero. */
  inserted = false;
  readonly #stride: number;
  #size = 0;
  #capacity: number;
  #shift: number;

  /** @param valueWords 32-bit values per key */
  constructor(valueWords: number) {
    this.#stride = 2 + valueWords;
    this.#capacity = capacityMin;
    this.#shift = 32 + groupBits - Math.log2(capacityMin);
    this.slots = new Int32Array(this.#capacity * this.#stride);
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of the backing array. */
  get bytes(): number {
    return this.slots.byteLength;
  }

  /** Offset of the key's slot in `slots`, or -1. O(1) expected. */
  find(keyLow: number, keyHigh: number): number {
    const high = keyHigh | 0;
    const low = (keyLow | high) === 0 ? zeroKeyLow : keyLow | 0;
    const slots = this.slots;
    const end = this.#capacity * this.#stride;
    let at = this.#home(low, high);
    for (;;) {
      const slotLow = slots[at]!;
      const slotHigh = slots[at + 1]!;
      if (slotLow === low && slotHigh === high) return at;
      if ((slotLow | slotHigh) === 0) return -1;
      at += this.#stride;
      if (at === end) at = 0;
    }
  }

  /** Offset of the key's slot, which is added if missing (see `inserted`). O(1) expected. */
  insert(keyLow: number, keyHigh: number): number {
    const high = keyHigh | 0;
    const low = (keyLow | high) === 0 ? zeroKeyLow : keyLow | 0;
    if (this.#size * 8 >= this.#capacity * 5) this.#resize(this.#capacity * 2);
    const slots = this.slots;
    const end = this.#capacity * this.#stride;
    let at = this.#home(low, high);
    for (;;) {
      const slotLow = slots[at]!;
      const slotHigh = slots[at + 1]!;
      if (slotLow === low && slotHigh === high) {
        this.inserted = false;
        return at;
      }
      if ((slotLow | slotHigh) === 0) {
        slots[at] = low;
        slots[at + 1] = high;
        this.#size++;
        this.inserted = true;
        return at;
      }
      at += this.#stride;
      if (at === end) at = 0;
    }
  }

  /** Removes the entry at an offset returned by `find` or `insert`. */
  remove(at: number): void {
    const slots = this.slots;
    const stride = this.#stride;
    const end = this.#capacity * stride;
    let hole = at;
    let next = at;
    for (;;) {
      next += stride;
      if (next === end) next = 0;
      const low = slots[next]!;
      const high = slots[next + 1]!;
      if ((low | high) === 0) break;
      const home = this.#home(low, high);
      // The entry may move back into the hole unless its home lies cyclically in (hole, next].
      const stays = hole < next ? home > hole && home <= next : home > hole || home <= next;
      if (!stays) {
        // Slots have a few words: a loop is faster than copyWithin.
        for (let word = 0; word < stride; word++) slots[hole + word] = slots[next + word]!;
        hole = next;
      }
    }
    for (let word = 0; word < stride; word++) slots[hole + word] = 0;
    this.#size--;
    if (this.#capacity > capacityMin && this.#size * 8 < this.#capacity) this.#resize(this.#capacity / 2);
  }

  clear(): void {
    this.#size = 0;
    this.#capacity = capacityMin;
    this.#shift = 32 + groupBits - Math.log2(capacityMin);
    this.slots = new Int32Array(this.#capacity * this.#stride);
  }

  /** Offset of the first entry at or after `at`, or -1: `for (let at = t.next(0); at >= 0; at = t.next(at + t.stride))`. */
  next(at: number): number {
    const slots = this.slots;
    for (let slot = at; slot < slots.length; slot += this.#stride) {
      if ((slots[slot]! | slots[slot + 1]!) !== 0) return slot;
    }
    return -1;
  }

  /** Words from one slot to the next. */
  get stride(): number {
    return this.#stride;
  }

  /**
   * Keys that differ only in the last `groupBits` bits of the low word have neighbouring homes. The lab numbers the
   * blocks of a prompt that way, so it reads several blocks from one cache line. Larger groups form longer clusters, which
   * `insert` and `remove` have to pass. For random keys the size makes no difference.
   */
  #home(low: number, high: number): number {
    const group = spread(low >>> groupBits, high) >>> this.#shift;
    return ((group << groupBits) | (low & groupMask)) * this.#stride;
  }

  #resize(capacity: number): void {
    const old = this.slots;
    const stride = this.#stride;
    this.#capacity = capacity;
    this.#shift = 32 + groupBits - Math.log2(capacity);
    const slots = new Int32Array(capacity * stride);
    this.slots = slots;
    for (let from = 0; from < old.length; from += stride) {
      const low = old[from]!;
      const high = old[from + 1]!;
      if ((low | high) === 0) continue;
      let at = this.#home(low, high);
      while ((slots[at]! | slots[at + 1]!) !== 0) {
        at += stride;
        if (at === slots.length) at = 0;
      }
      for (let word = 0; word < stride; word++) slots[at + word] = old[from + word]!;
    }
  }
}

const capacityMin = 16;
/** At most 3, so that `capacityMin` has at least two groups. */
const groupBits = 2;
const groupMask = (1 << groupBits) - 1;
/** Replaces key 0, because 0 marks an empty slot. Adds one collision in 2^64. */
const zeroKeyLow = 0x9e3779b9 | 0;
