// The most frequent keys of a stream, with bounded memory: the space-saving algorithm.
//
// Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005.
// A new key takes the place of the least frequent one and inherits its count, as its error. So
//   count - error <= true count <= count,
// and every key with more than (total / slots) occurrences has a slot.

/** A min-heap of slots by count; keys are 64-bit hashes as two words. All memory is allocated at the start. */
export class HeavyHitters {
  readonly slots: number;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  readonly count: Float64Array;
  readonly error: Float64Array;
  /** Whether the last `add` gave the slot to another key than before. */
  isNew = false;
  /** Keys that lost their slot. */
  givenUp = 0;
  #used = 0;
  readonly #heap: Uint32Array;
  readonly #place: Uint32Array;
  /** By 53 bits of the key; keys that share them count as one. */
  readonly #slotOf = new Map<number, number>();

  constructor(slots: number) {
    this.slots = slots;
    this.low = new Uint32Array(slots);
    this.high = new Uint32Array(slots);
    this.count = new Float64Array(slots);
    this.error = new Float64Array(slots);
    this.#heap = new Uint32Array(slots);
    this.#place = new Uint32Array(slots);
  }

  /** Slots in use: 0 .. used - 1. */
  get used(): number {
    return this.#used;
  }

  /** -1: the key has no slot. */
  find(low: number, high: number): number {
    return this.#slotOf.get(keyOf(low, high)) ?? -1;
  }

  /** Counts a key. O(log slots) @returns its slot */
  add(low: number, high: number, weight = 1): number {
    const key = keyOf(low, high);
    let slot = this.#slotOf.get(key);
    this.isNew = slot === undefined;
    if (slot === undefined) {
      slot = this.#used < this.slots ? this.#open() : this.#takeOver();
      this.#slotOf.set(key, slot);
      this.low[slot] = low;
      this.high[slot] = high;
    }
    this.count[slot]! += weight;
    this.#sink(this.#place[slot]!);
    return slot;
  }

  /** Halves all counts, so that what was frequent long ago can be given up. */
  halve(): void {
    for (let slot = 0; slot < this.#used; slot++) {
      this.count[slot]! /= 2;
      this.error[slot]! /= 2;
    }
  }

  #open(): number {
    const slot = this.#used++;
    // A count of 0 is the lowest there is.
    this.#heap[slot] = slot;
    this.#place[slot] = slot;
    this.#rise(slot);
    return slot;
  }

  #takeOver(): number {
    const slot = this.#heap[0]!;
    this.#slotOf.delete(keyOf(this.low[slot]!, this.high[slot]!));
    this.error[slot] = this.count[slot]!;
    this.givenUp += 1;
    return slot;
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.#countAt(above) <= this.#countAt(at)) return;
      this.#swap(at, above);
      at = above;
    }
  }

  #sink(from: number): void {
    let at = from;
    for (;;) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        if (below < this.#used && this.#countAt(below) < this.#countAt(least)) least = below;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #countAt(at: number): number {
    return this.count[this.#heap[at]!]!;
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a]!, this.#heap[b]!];
    this.#heap[a] = second;
    this.#heap[b] = first;
    this.#place[second] = a;
    this.#place[first] = b;
  }
}

function keyOf(low: number, high: number): number {
  return (high & 0x1f_ffff) * 2 ** 32 + low;
}
