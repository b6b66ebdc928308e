// A binary min-heap of possible merges: lowest rank first, leftmost symbol first among equal ranks.

/** Range of a symbol in a key; ranks lie above it, and both together are exact in a double. */
const symbolRange = 2 ** 31;

/** Keys are rank * 2^31 + symbol, so comparing keys compares rank, then position. */
export class MergeHeap {
  size = 0;
  readonly #keys: Float64Array;

  /** @param symbols of the word: each starts with at most one entry; each merge frees one and adds at most two */
  constructor(symbols: number) {
    this.#keys = new Float64Array(symbols * 2);
  }

  clear(): void {
    this.size = 0;
  }

  /** Appends without keeping the order; call `order` afterwards. */
  append(rank: number, symbol: number): void {
    this.#keys[this.size++] = rank * symbolRange + symbol;
  }

  /** Turns the appended entries into a heap. O(n) */
  order(): void {
    for (let at = (this.size >> 1) - 1; at >= 0; at--) this.#sink(at, this.#keys[at]!);
  }

  push(rank: number, symbol: number): void {
    const keys = this.#keys;
    const key = rank * symbolRange + symbol;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  topRank(): number {
    return Math.floor(this.#keys[0]! / symbolRange);
  }

  topSymbol(): number {
    return this.#keys[0]! - this.topRank() * symbolRange;
  }

  pop(): void {
    this.size--;
    if (this.size > 0) this.#sink(0, this.#keys[this.size]!);
  }

  #sink(from: number, key: number): void {
    const keys = this.#keys;
    const size = this.size;
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      keys[at] = keys[child]!;
      at = child;
    }
    keys[at] = key;
  }
}
