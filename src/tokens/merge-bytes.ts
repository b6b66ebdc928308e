// Byte-pair merging of one word: the merge with the lowest rank first, the leftmost among equals.

import { MergeHeap } from './merge-heap.ts';
import { type Merges, noMerge } from './merges.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Words with more bytes use a heap to find the next merge, shorter ones a scan of all pairs. */
const scannedBytesMax = 64;
/** Larger scratch buffers are not kept. */
const keptBytesMax = 65_536;

/** Merges words into token ids. Reuses its scratch buffers, so it is not shareable. */
export class ByteMerger {
  readonly #vocabulary: Vocabulary;
  readonly #merges: Merges;
  /** Per symbol: its start, its id, and the rank of its merge with the next symbol. */
  readonly #starts: Int32Array = new Int32Array(scannedBytesMax + 1);
  readonly #ids: Int32Array = new Int32Array(scannedBytesMax);
  readonly #ranks: Int32Array = new Int32Array(scannedBytesMax);
  #long: LongWordScratch = new LongWordScratch(1024);

  constructor(vocabulary: Vocabulary, merges: Merges) {
    this.#vocabulary = vocabulary;
    this.#merges = merges;
  }

  /** Writes the ids of `bytes[start..end)` to `out` at `at`. @returns the position after them */
  merge(bytes: Uint8Array, start: number, end: number, out: Uint32Array, at: number): number {
    return end - start <= scannedBytesMax
      ? this.#mergeByScan(bytes, start, end, out, at)
      : this.#mergeByHeap(bytes, start, end, out, at);
  }

  /** O(n^2) for n bytes, with small constants. */
  #mergeByScan(bytes: Uint8Array, start: number, end: number, out: Uint32Array, at: number): number {
    const vocabulary = this.#vocabulary;
    const merges = this.#merges;
    const starts = this.#starts;
    const ids = this.#ids;
    const ranks = this.#ranks;
    let count = end - start;
    for (let symbol = 0; symbol < count; symbol++) {
      starts[symbol] = start + symbol;
      ids[symbol] = vocabulary.byteId(bytes[start + symbol]!);
      ranks[symbol] =
        symbol + 1 < count ? merges.byteRank(bytes[start + symbol]!, bytes[start + symbol + 1]!) : noMerge;
    }
    starts[count] = end;
    for (;;) {
      let lowest = noMerge;
      let symbol = -1;
      for (let index = 0; index + 1 < count; index++) {
        if (ranks[index]! < lowest) {
          lowest = ranks[index]!;
          symbol = index;
        }
      }
      if (symbol === -1) break;
      ids[symbol] = merges.token(lowest);
      for (let index = symbol + 1; index + 1 < count; index++) {
        starts[index] = starts[index + 1]!;
        ids[index] = ids[index + 1]!;
        ranks[index] = ranks[index + 1]!;
      }
      count--;
      starts[count] = end;
      if (symbol + 1 < count) {
        ranks[symbol] = merges.rank(ids[symbol]!, ids[symbol + 1]!, bytes, starts[symbol]!, starts[symbol + 2]!);
      }
      if (symbol > 0) {
        ranks[symbol - 1] = merges.rank(
          ids[symbol - 1]!,
          ids[symbol]!,
          bytes,
          starts[symbol - 1]!,
          starts[symbol + 1]!,
        );
      }
    }
    for (let symbol = 0; symbol < count; symbol++) out[at + symbol] = ids[symbol]!;
    return at + count;
  }

  /** O(n log n) for n bytes. A symbol is identified by the offset of its first byte. */
  #mergeByHeap(bytes: Uint8Array, start: number, end: number, out: Uint32Array, at: number): number {
    const vocabulary = this.#vocabulary;
    const merges = this.#merges;
    const length = end - start;
    const scratch = this.#scratchFor(length);
    const { ids, next, previous, ranks, heap } = scratch;
    heap.clear();
    for (let symbol = 0; symbol < length; symbol++) {
      ids[symbol] = vocabulary.byteId(bytes[start + symbol]!);
      next[symbol] = symbol + 1;
      previous[symbol] = symbol - 1;
      const rank = symbol + 1 < length ? merges.byteRank(bytes[start + symbol]!, bytes[start + symbol + 1]!) : noMerge;
      ranks[symbol] = rank;
      if (rank !== noMerge) heap.append(rank, symbol);
    }
    heap.order();
    const rerank = (symbol: number, neighbour: number, until: number): void => {
      const rank = merges.rank(ids[symbol]!, ids[neighbour]!, bytes, start + symbol, start + until);
      ranks[symbol] = rank;
      if (rank !== noMerge) heap.push(rank, symbol);
    };
    while (heap.size > 0) {
      const rank = heap.topRank();
      const symbol = heap.topSymbol();
      heap.pop();
      // An entry is outdated if its symbol was merged away or has a new neighbour.
      if (ranks[symbol] !== rank) continue;
      const swallowed = next[symbol]!;
      const following = next[swallowed]!;
      ids[symbol] = merges.token(rank);
      next[symbol] = following;
      ranks[swallowed] = noMerge;
      if (following < length) {
        previous[following] = symbol;
        rerank(symbol, following, next[following]!);
      } else {
        ranks[symbol] = noMerge;
      }
      const before = previous[symbol]!;
      if (before !== -1) rerank(before, symbol, following);
    }
    let position = at;
    for (let symbol = 0; symbol < length; symbol = next[symbol]!) out[position++] = ids[symbol]!;
    return position;
  }

  #scratchFor(length: number): LongWordScratch {
    if (length <= this.#long.capacity) return this.#long;
    const scratch = new LongWordScratch(length <= keptBytesMax ? Math.min(length * 2, keptBytesMax) : length);
    if (length <= keptBytesMax) this.#long = scratch;
    return scratch;
  }
}

class LongWordScratch {
  readonly capacity: number;
  readonly ids: Int32Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
  readonly ranks: Int32Array;
  readonly heap: MergeHeap;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.ids = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.previous = new Int32Array(capacity);
    this.ranks = new Int32Array(capacity);
    this.heap = new MergeHeap(capacity);
  }
}
