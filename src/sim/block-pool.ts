// Block pool of one engine: which KV blocks are free, their order of eviction, and the content they hold.

/** Block 0 is never allocated. Engines use it as the null block; here it is also the sentinel of the free list. */
const nullBlock = 0;

/** Called with the hash (low, high) of a block whose content is evicted. */
export type OnEvicted = (low: number, high: number) => void;

/**
 * Semantics of vLLM's block pool. Free blocks form a queue; allocation takes from the front. A block that holds hashed
 * content keeps it while free and can be hit; its content is dropped only when the block is allocated again. Several
 * blocks may hold the same content: a hit takes the oldest copy.
 *
 * All columns are indexed by block. Every call is O(1), except for the chain walk of `find`.
 */
export class BlockPool {
  /** Most blocks, the null block included. */
  static readonly blocksMax: number = 1 << 24;

  /** Blocks, the null block included. */
  readonly blockCount: number;
  readonly #freeUnhashedFirst: boolean;
  readonly #onEvicted: OnEvicted;
  #freeCount: number;

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
  constructor(blockCount: number, freeUnhashedFirst: boolean, onEvicted: OnEvicted) {
    if (!Number.isInteger(blockCount) || blockCount < 2 || blockCount > BlockPool.blocksMax) {
      throw new RangeError(`blockCount must be an integer in 2 .. ${BlockPool.blocksMax}, got ${blockCount}`);
    }
    this.blockCount = blockCount;
    this.#freeUnhashedFirst = freeUnhashedFirst;
    this.#onEvicted = onEvicted;
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

  isFree(block: number): boolean {
    return this.#references[block] === 0;
  }

  /** The oldest block with this content, or 0. */
  find(low: number, high: number): number {
    let block = this.#bucketFirst[this.#bucketOf(low, high)]!;
    while (block !== 0 && (this.#hashLow[block] !== low || this.#hashHigh[block] !== high)) {
      block = this.#nextInBucket[block]!;
    }
    return block;
  }

  /** Adds a reference to a block that holds content, free or not. */
  touch(block: number): void {
    if (this.#references[block] === 0) this.#unlinkFree(block);
    this.#references[block]!++;
  }

  /** Takes the first free block with one reference and drops its content. The caller must check `freeCount`. */
  allocate(): number {
    const block = this.#nextFree[nullBlock]!;
    if (block === nullBlock) throw new Error('allocate: no free block');
    this.#unlinkFree(block);
    this.#references[block] = 1;
    if (this.#isHashed[block] === 1) {
      this.#dropContent(block);
      this.#onEvicted(this.#hashLow[block]!, this.#hashHigh[block]!);
    }
    return block;
  }

  /** Sets the content hash of a block in use, so that others can hit it. */
  cache(block: number, low: number, high: number): void {
    if (this.#references[block] === 0 || this.#isHashed[block] === 1) {
      throw new Error(`cache: block ${block} is free or holds content already`);
    }
    this.#isHashed[block] = 1;
    this.#hashLow[block] = low;
    this.#hashHigh[block] = high;
    const bucket = this.#bucketOf(low, high);
    const last = this.#bucketLast[bucket]!;
    this.#previousInBucket[block] = last;
    this.#nextInBucket[block] = 0;
    this.#bucketLast[bucket] = block;
    if (last === 0) this.#bucketFirst[bucket] = block;
    else this.#nextInBucket[last] = block;
  }

  /** Removes a reference. The block becomes free with the last one. */
  free(block: number): void {
    const references = this.#references[block]!;
    if (references <= 0) throw new Error(`free: block ${block} is free already`);
    this.#references[block] = references - 1;
    if (references > 1) return;
    const toFront = this.#freeUnhashedFirst && this.#isHashed[block] === 0;
    const before = toFront ? nullBlock : this.#previousFree[nullBlock]!;
    const after = this.#nextFree[before]!;
    this.#nextFree[before] = block;
    this.#previousFree[block] = before;
    this.#nextFree[block] = after;
    this.#previousFree[after] = block;
    this.#freeCount++;
  }

  /**
   * Drops the content of all blocks without calling `onEvicted`. Returns false and does nothing while any block is in
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
