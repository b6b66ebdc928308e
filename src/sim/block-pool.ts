// Block pool of one engine: which KV blocks are free, their order of eviction, and the content they hold.

/** Block 0 is never allocated. Engines use it as the null block; here it is also the sentinel of the free list. */
const nullBlock = 0;

/**
 * Semantics of vLLM's block pool. Free blocks form a queue; allocation takes from the front. A block that holds hashed
 * content keeps it while free and can be hit; its content is dropped only when the block is allocated again. Several
 * blocks may hold the same content: a hit takes the oldest copy.
 *
 * All columns are indexed by block. Every call is O(1) a block, except for the chain walk of `findLeading`. Lists of
 * blocks are handled in one call: most of the lab's time would go into calls otherwise.
 */
export class BlockPool {
  /** Most blocks, the null block included. */
  static readonly blocksMax: number = 1 << 24;

  /** Blocks, the null block included. */
  readonly blockCount: number;
  readonly #freeUnhashedFirst: boolean;
  #freeCount: number;
  /** Hashes (low, high) of evicted contents since `takeEvicted`, in the first `#evictedWords` words. */
  #evicted = new Uint32Array(64);
  #evictedWords = 0;

  /** Circular list of free blocks in order of eviction. The null block is its sentinel. */
  readonly #nextFree: Int32Array;
  readonly #previousFree: Int32Array;
  /** Sequences that use the block. */
  readonly #references: Int32Array;

  readonly #isHashed: Uint8Array;
  readonly #hashLow: Uint32Array;
  readonly #hashHigh: Uint32Array;
  /** Hash table with one list of blocks per bucket, oldest first. 0 ends a list. */
  readonly #bucketMask: number;
  readonly #bucketFirst: Int32Array;
  readonly #bucketLast: Int32Array;
  readonly #nextInBucket: Int32Array;
  readonly #previousInBucket: Int32Array;

  /**
   * @param blockCount 2 .. blocksMax, the null block included
   * @param freeUnhashedFirst whether a freed block without hashed content goes to the front of the queue (vLLM since
   * 2026) instead of the back
   */
  constructor(blockCount: number, freeUnhashedFirst: boolean) {
    if (!Number.isInteger(blockCount) || blockCount < 2 || blockCount > BlockPool.blocksMax) {
      throw new RangeError(`blockCount must be an integer in 2 .. ${BlockPool.blocksMax}, got ${blockCount}`);
    }
    this.blockCount = blockCount;
    this.#freeUnhashedFirst = freeUnhashedFirst;
    this.#freeCount = blockCount - 1;
    this.#nextFree = new Int32Array(blockCount);
    this.#previousFree = new Int32Array(blockCount);
    for (let block = 0; block < blockCount; block++) {
      this.#nextFree[block] = block + 1 === blockCount ? nullBlock : block + 1;
      this.#previousFree[block] = block === nullBlock ? blockCount - 1 : block - 1;
    }
    this.#references = new Int32Array(blockCount);
    this.#isHashed = new Uint8Array(blockCount);
    this.#hashLow = new Uint32Array(blockCount);
    this.#hashHigh = new Uint32Array(blockCount);
    const bucketCount = 2 ** Math.ceil(Math.log2(blockCount) + 1);
    this.#bucketMask = bucketCount - 1;
    this.#bucketFirst = new Int32Array(bucketCount);
    this.#bucketLast = new Int32Array(bucketCount);
    this.#nextInBucket = new Int32Array(blockCount);
    this.#previousInBucket = new Int32Array(blockCount);
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** Share of the blocks that are in use, 0 .. 1. */
  get usage(): number {
    return 1 - this.#freeCount / (this.blockCount - 1);
  }

  /** How many of the first `count` blocks are free. */
  freeAmong(blocks: Int32Array, count: number): number {
    const references = this.#references;
    let free = 0;
    for (let i = 0; i < count; i++) if (references[blocks[i]!] === 0) free++;
    return free;
  }

  /**
   * Looks up leading contents, and writes the oldest block that has each to `out`.
   * @param hashes (low, high) of `count` contents
   * @returns how many were found before the first that no block has
   */
  findLeading(hashes: Uint32Array, count: number, out: Int32Array): number {
    const lows = this.#hashLow;
    const highs = this.#hashHigh;
    const next = this.#nextInBucket;
    const first = this.#bucketFirst;
    for (let i = 0; i < count; i++) {
      const low = hashes[2 * i]!;
      const high = hashes[2 * i + 1]!;
      let block = first[this.#bucketOf(low, high)]!;
      while (block !== 0 && (lows[block] !== low || highs[block] !== high)) block = next[block]!;
      if (block === 0) return i;
      out[i] = block;
    }
    return count;
  }

  /** Adds a reference to each of the first `count` blocks, which hold content, free or not. */
  touch(blocks: Int32Array, count: number): void {
    const references = this.#references;
    for (let i = 0; i < count; i++) {
      const block = blocks[i]!;
      if (references[block] === 0) this.#unlinkFree(block);
      references[block]!++;
    }
  }

  /**
   * Takes the first free blocks with one reference each and drops their content. The caller must check `freeCount`.
   * @param out gets them at `from` .. `to` - 1
   */
  allocate(out: Int32Array, from: number, to: number): void {
    const count = to - from;
    if (count > this.#freeCount) throw new Error('allocate: no free block');
    const nextFree = this.#nextFree;
    const references = this.#references;
    const isHashed = this.#isHashed;
    if (this.#evicted.length - this.#evictedWords < 2 * count) this.#growEvicted(2 * count);
    const evicted = this.#evicted;
    let words = this.#evictedWords;
    let block = nextFree[nullBlock]!;
    for (let i = from; i < to; i++) {
      references[block] = 1;
      if (isHashed[block] === 1) {
        this.#dropContent(block);
        evicted[words++] = this.#hashLow[block]!;
        evicted[words++] = this.#hashHigh[block]!;
      }
      out[i] = block;
      block = nextFree[block]!;
    }
    this.#evictedWords = words;
    nextFree[nullBlock] = block;
    this.#previousFree[block] = nullBlock;
    this.#freeCount -= count;
  }

  /** Hashes (low, high) of the contents evicted since the last call, in order, in an array of their own. */
  takeEvicted(): Uint32Array {
    const words = this.#evictedWords;
    this.#evictedWords = 0;
    return this.#evicted.slice(0, words);
  }

  get hasEvicted(): boolean {
    return this.#evictedWords > 0;
  }

  /**
   * Sets the content of the blocks at `from` .. `to` - 1, which are in use, so that others can hit it.
   * @param hashes (low, high), at the same places
   */
  cache(blocks: Int32Array, hashes: Uint32Array, from: number, to: number): void {
    const lows = this.#hashLow;
    const highs = this.#hashHigh;
    const next = this.#nextInBucket;
    const previous = this.#previousInBucket;
    const bucketFirst = this.#bucketFirst;
    const bucketLast = this.#bucketLast;
    for (let i = from; i < to; i++) {
      const block = blocks[i]!;
      if (this.#references[block] === 0 || this.#isHashed[block] === 1) {
        throw new Error(`cache: block ${block} is free or holds content already`);
      }
      const low = hashes[2 * i]!;
      const high = hashes[2 * i + 1]!;
      this.#isHashed[block] = 1;
      lows[block] = low;
      highs[block] = high;
      const bucket = this.#bucketOf(low, high);
      const last = bucketLast[bucket]!;
      previous[block] = last;
      next[block] = 0;
      bucketLast[bucket] = block;
      if (last === 0) bucketFirst[bucket] = block;
      else next[last] = block;
    }
  }

  /** Removes a reference from each of the first `count` blocks, from the last on. A block becomes free with its last. */
  free(blocks: Int32Array, count: number): void {
    const references = this.#references;
    const nextFree = this.#nextFree;
    const previousFree = this.#previousFree;
    for (let i = count - 1; i >= 0; i--) {
      const block = blocks[i]!;
      const before = references[block]!;
      if (before <= 0) throw new Error(`free: block ${block} is free already`);
      references[block] = before - 1;
      if (before > 1) continue;
      const toFront = this.#freeUnhashedFirst && this.#isHashed[block] === 0;
      const ahead = toFront ? nullBlock : previousFree[nullBlock]!;
      const behind = nextFree[ahead]!;
      nextFree[ahead] = block;
      previousFree[block] = ahead;
      nextFree[block] = behind;
      previousFree[behind] = block;
      this.#freeCount++;
    }
  }

  /**
   * Drops the content of all blocks without counting it as evicted. Returns false and does nothing while any block is in
   * use.
   */
  clear(): boolean {
    if (this.#freeCount !== this.blockCount - 1) return false;
    this.#isHashed.fill(0);
    this.#bucketFirst.fill(0);
    this.#bucketLast.fill(0);
    return true;
  }

  /** Free blocks in the order in which they will be taken. */
  freeQueue(): number[] {
    const queue: number[] = [];
    for (let block = this.#nextFree[nullBlock]!; block !== nullBlock; block = this.#nextFree[block]!) {
      queue.push(block);
    }
    return queue;
  }

  /** The hash (low, high) of every block that holds content, one entry per copy. */
  contents(): [low: number, high: number][] {
    const list: [number, number][] = [];
    for (let block = 1; block < this.blockCount; block++) {
      if (this.#isHashed[block] === 1) list.push([this.#hashLow[block]!, this.#hashHigh[block]!]);
    }
    return list;
  }

  #bucketOf(low: number, high: number): number {
    return (low ^ Math.imul(high, 0x9e3779b1)) & this.#bucketMask;
  }

  #growEvicted(words: number): void {
    const grown = new Uint32Array(2 * this.#evictedWords + words);
    grown.set(this.#evicted.subarray(0, this.#evictedWords));
    this.#evicted = grown;
  }

  #unlinkFree(block: number): void {
    const before = this.#previousFree[block]!;
    const after = this.#nextFree[block]!;
    this.#nextFree[before] = after;
    this.#previousFree[after] = before;
    this.#freeCount--;
  }

  #dropContent(block: number): void {
    const bucket = this.#bucketOf(this.#hashLow[block]!, this.#hashHigh[block]!);
    const before = this.#previousInBucket[block]!;
    const after = this.#nextInBucket[block]!;
    if (before === 0) this.#bucketFirst[bucket] = after;
    else this.#nextInBucket[before] = after;
    if (after === 0) this.#bucketLast[bucket] = before;
    else this.#previousInBucket[after] = before;
    this.#isHashed[block] = 0;
  }
}
