// Which workers hold each block: blocks by their sequence hash, with one bit a worker.
//
// A block has a number as long as any worker holds it. Blocks that are stored in a row get numbers in a row where these
// are free, and each block remembers the one that was last found behind it. So a pass along a chain reads memory in
// order, and asks the hash index only where chains part. Both are guesses: a block is known by its hash alone.
//
// A worker that is cleared loses all its bits at once. Blocks that nobody holds then keep their numbers for a while, as
// "dead" ones: they are found, but no worker has them. `sweep` takes their numbers back, some at a time.

import { assert } from '../assert.ts';
import { bitCount } from './bit-count.ts';
import {
  distanceMax,
  enter,
  entryWords,
  homeOf,
  leave,
  numberBits,
  numberMask,
  slotsFor,
  slotsIn,
} from './block-index.ts';
import { BlockNumbers, newChain, noBlock, wholeGroups } from './block-numbers.ts';

const behindOffset = 2;
const holdersOffset = 3;

const capacityMin = 64;
/** Up to this capacity a larger index is filled at once; else with blocks to come, so many numbers with each. */
const filledAtOnceMax = 512;
const builtPerBlock = 32;

export class BlockRows {
  /** At this number of distinct blocks no more are taken. */
  static readonly blocksMax: number = 1 << numberBits;

  /** Bits of 32 workers each: that of worker w for block b is bit `w & 31` of `planes[w >>> 5][b]`. */
  readonly planes: Int32Array[] = [];
  /** Whether the last `hold` found that the worker did not hold the block before. */
  added = false;
  /** Whether the block of the last `hold` got a number. */
  inserted = false;
  /** What the last `touch` read. Means nothing, but keeps the compiler from dropping the reads. */
  touched = 0;

  /** One entry more than there are numbers, so that a guess may point behind the last. A free entry is 0. */
  #entries: Int32Array = new Int32Array((capacityMin + 1) * entryWords);
  #numbers = new BlockNumbers();
  /** Linear probing with backward shift. */
  #index: Int32Array = new Int32Array(2 * capacityMin);
  #shift = 32 - Math.log2(2 * capacityMin);
  /** A larger index that replaces it once all blocks are in it; null: none is being built. */
  #building: Int32Array | null = null;
  #buildingShift = 0;
  /** Blocks with smaller numbers are in the index that is being built. */
  #builtTo = 0;
  /** The empty slot where the last `find` that found nothing ended, and its distance from the home slot plus 1. */
  #vacant = 0;
  #vacantDistance = 1;
  /** Blocks with a number and without a holder. */
  #dead = 0;
  /** Where `sweep` goes on. */
  #sweptTo = 0;

  constructor() {
    this.#numbers.grow(capacityMin);
  }

  /** Numbers in use: distinct blocks, and dead ones. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Whether `sweep` has anything to do. */
  get hasDead(): boolean {
    return this.#dead > 0;
  }

  get bytes(): number {
    let bytes = this.#entries.byteLength + this.#index.byteLength + this.#numbers.bytes;
    bytes += this.#building?.byteLength ?? 0;
    for (const plane of this.planes) bytes += plane.byteLength;
    return bytes;
  }

  /** Numbers in use are smaller. */
  get end(): number {
    return this.#numbers.capacity;
  }

  /** Whether so few numbers are in use that `compact` gives back most of the memory. */
  get isSparse(): boolean {
    return this.end > capacityMin && this.size * 8 < this.end;
  }

  /** Makes room for a worker's bits. O(1) but for the memory */
  addWorker(worker: number): void {
    while (this.planes.length * 32 <= worker) this.planes.push(new Int32Array(this.end));
  }

  /** Low word of the block's hash, signed. */
  low(block: number): number {
    return this.#entries[block * entryWords]!;
  }

  /** High word of the block's hash, signed. */
  high(block: number): number {
    return this.#entries[block * entryWords + 1]!;
  }

  /** Number of workers that hold the block, 0 for a number that is not in use. */
  holders(block: number): number {
    return this.#entries[block * entryWords + holdersOffset]!;
  }

  has(worker: number, block: number): boolean {
    return ((this.planes[worker >>> 5]![block]! >>> (worker & 31)) & 1) === 1;
  }

  /** Number of a block, or `noBlock`. O(1) expected */
  find(low: number, high: number): number {
    const lowWord = low | 0;
    const highWord = high | 0;
    const index = this.#index;
    const entries = this.#entries;
    const mask = index.length - 1;
    let at = homeOf(lowWord, highWord, this.#shift);
    for (let distance = 1; ; distance++) {
      const slot = index[at]!;
      if (slot === 0) {
        this.#vacant = at;
        this.#vacantDistance = distance;
        return noBlock;
      }
      const told = slot >>> numberBits;
      if (told === distance || told === distanceMax) {
        const block = slot & numberMask;
        if (entries[block * entryWords] === lowWord && entries[block * entryWords + 1] === highWord) return block;
      }
      at = (at + 1) & mask;
    }
  }

  /** Reads the index at the homes of the keys at `from` .. `to` - 1 (two words each), see `HashTable.touch`. */
  touch(keys: Uint32Array, from: number, to: number): void {
    const index = this.#index;
    let read = 0;
    for (let i = from; i < to; i += 2) read ^= index[homeOf(keys[i]!, keys[i + 1]!, this.#shift)]!;
    this.touched = read;
  }

  /** Like `find`, for a block that probably comes behind `before` in a chain. @param before in use, or negative */
  findBehind(before: number, low: number, high: number): number {
    // The next number first: where it is right, the processor need not wait for the entry to know where to read on.
    if (before < 0) return this.find(low, high);
    return this.#is(before + 1, low, high) ? before + 1 : this.#findElsewhere(before, low, high);
  }

  /**
   * How many blocks of a chain, from `from` to at most `to` - 1, have numbers in a row.
   * @param block the number of block `from`
   */
  runLength(block: number, sequence: Uint32Array, from: number, to: number): number {
    const entries = this.#entries;
    let at = block * entryWords;
    let i = from;
    do {
      i++;
      at += entryWords;
    } while (
      i < to &&
      entries[at] === (sequence[2 * i]! | 0) &&
      entries[at + 1] === (sequence[2 * i + 1]! | 0) &&
      entries[at + holdersOffset] !== 0
    );
    return i - from;
  }

  /** Like `find`, for a block that probably comes ahead of `after` in a chain. @param after need not be in use any more */
  findAhead(after: number, low: number, high: number): number {
    return after > 0 && this.#is(after - 1, low, high) ? after - 1 : this.find(low, high);
  }

  /**
   * The worker holds the block (see `added`), which probably comes behind `before` in a chain.
   * @param before in use, `newChain`, or `noBlock` if it is not known whether others follow
   * @returns the block's number, `noBlock` if there are `blocksMax` others. O(1) expected
   */
  hold(worker: number, before: number, low: number, high: number): number {
    let block = this.findBehind(before, low, high);
    this.inserted = block === noBlock;
    if (block === noBlock) {
      if (this.size === BlockRows.blocksMax) return noBlock;
      block = this.#insert(before, low, high);
    }
    const plane = this.planes[worker >>> 5]!;
    const bit = 1 << (worker & 31);
    this.added = (plane[block]! & bit) === 0;
    if (this.added) {
      plane[block] = plane[block]! | bit;
      const holders = block * entryWords + holdersOffset;
      if (this.#entries[holders] === 0 && !this.inserted) this.#dead--;
      this.#entries[holders] = this.#entries[holders]! + 1;
    }
    return block;
  }

  /** The worker does not hold the block any more. @returns whether it did */
  drop(worker: number, block: number): boolean {
    const plane = this.planes[worker >>> 5]!;
    const bit = 1 << (worker & 31);
    if ((plane[block]! & bit) === 0) return false;
    plane[block] = plane[block]! & ~bit;
    const holders = block * entryWords + holdersOffset;
    this.#entries[holders] = this.#entries[holders]! - 1;
    if (this.#entries[holders] === 0) this.#remove(block);
    return true;
  }

  /** The worker holds nothing any more. O(numbers), in the order of the memory: some nanoseconds each */
  clear(worker: number): void {
    const plane = this.planes[worker >>> 5]!;
    const bit = 1 << (worker & 31);
    const entries = this.#entries;
    for (let block = 0; block < plane.length; block++) {
      const holders = plane[block]!;
      if ((holders & bit) === 0) continue;
      plane[block] = holders & ~bit;
      const at = block * entryWords + holdersOffset;
      entries[at] = entries[at]! - 1;
      if (entries[at] === 0) this.#dead++;
    }
    this.#sweptTo = 0;
  }

  /** Takes back the numbers of dead blocks among the next `numbersMax`. Only while there are dead ones. */
  sweep(numbersMax: number): void {
    let block = this.#sweptTo;
    const to = Math.min(block + numbersMax, this.end);
    for (; block < to && this.#dead > 0; block++) {
      if (this.holders(block) > 0 || !this.#numbers.has(block)) continue;
      this.#remove(block);
      this.#dead--;
    }
    this.#sweptTo = block >= this.end ? 0 : block;
  }

  /**
   * Numbers the blocks anew, without gaps, and gives back memory. O(numbers)
   * @returns the new number for each old one in use
   */
  compact(): Uint32Array {
    const old = this.#entries;
    const end = this.end;
    const capacity = Math.max(capacityMin, wholeGroups(2 * this.size));
    const entries = new Int32Array((capacity + 1) * entryWords);
    const planes = this.planes.map(() => new Int32Array(capacity));
    const renumbered = new Uint32Array(end);
    this.#numbers = new BlockNumbers();
    this.#numbers.grow(capacity);
    let last = noBlock;
    for (let block = 0; block < end; block++) {
      const from = block * entryWords;
      if (old[from + holdersOffset] === 0) continue;
      last = this.#numbers.takeInRow(last);
      renumbered[block] = last;
      const to = last * entryWords;
      entries[to] = old[from]!;
      entries[to + 1] = old[from + 1]!;
      entries[to + behindOffset] = last + 1;
      entries[to + holdersOffset] = old[from + holdersOffset]!;
      for (let word = 0; word < planes.length; word++) planes[word]![last] = this.planes[word]![block]!;
    }
    this.#entries = entries;
    this.#dead = 0;
    this.#sweptTo = 0;
    for (let word = 0; word < planes.length; word++) this.planes[word] = planes[word]!;
    this.#fillIndex();
    return renumbered;
  }

  /** @throws Error naming what is wrong */
  assertConsistent(): void {
    let used = 0;
    let dead = 0;
    for (let block = 0; block < this.end; block++) {
      let bits = 0;
      for (const plane of this.planes) bits += bitCount(plane[block]!);
      assert(bits === this.holders(block), 'set bits of a block = its holders');
      assert(this.#numbers.has(block) || bits === 0, 'the numbers of held blocks are in use');
      if (!this.#numbers.has(block)) continue;
      used++;
      if (bits === 0) dead++;
      assert(this.find(this.low(block), this.high(block)) === block, 'the index leads to every block');
    }
    assert(used === this.size, 'the blocks are counted');
    assert(dead === this.#dead, 'the dead blocks are counted');
    assert(slotsIn(this.#index) === used, 'the index has a slot for each block');
    if (this.#building === null) return;
    let built = 0;
    for (let block = 0; block < this.#builtTo; block++) if (this.#numbers.has(block)) built++;
    assert(slotsIn(this.#building) === built, 'the next index has a slot for each block before `#builtTo`');
  }

  #findElsewhere(before: number, low: number, high: number): number {
    const behind = this.#entries[before * entryWords + behindOffset]!;
    if (behind !== before + 1 && this.#is(behind, low, high)) return behind;
    const found = this.find(low, high);
    if (found !== noBlock) this.#entries[before * entryWords + behindOffset] = found;
    return found;
  }

  #is(block: number, low: number, high: number): boolean {
    const at = block * entryWords;
    const entries = this.#entries;
    return entries[at] === (low | 0) && entries[at + 1] === (high | 0) && entries[at + holdersOffset] !== 0;
  }

  /** Right after a `find` of the same key that found nothing. */
  #insert(before: number, low: number, high: number): number {
    const index = this.#index;
    const block = this.#take(before);
    const at = block * entryWords;
    const entries = this.#entries;
    entries[at] = low;
    entries[at + 1] = high;
    entries[at + behindOffset] = block + 1;
    entries[at + holdersOffset] = 0;
    if (before >= 0) entries[before * entryWords + behindOffset] = block;
    if (index !== this.#index) enter(this.#index, this.#shift, block, low, high);
    else index[this.#vacant] = (Math.min(this.#vacantDistance, distanceMax) << numberBits) | block;
    if (this.#building !== null) {
      if (block < this.#builtTo) enter(this.#building, this.#buildingShift, block, low, high);
      this.#build(this.#building, builtPerBlock);
    }
    return block;
  }

  /** Grows while an eighth of the numbers is free, so that there are empty groups for chains to come. */
  #take(before: number): number {
    const numbers = this.#numbers;
    const number = before === noBlock ? numbers.takeAny() : numbers.takeInRow(before);
    if (number !== noBlock) return number;
    const fits = this.size * 8 < this.end * 7 || this.end === BlockRows.blocksMax;
    const other = before === noBlock ? numbers.takeInRow(newChain) : fits ? numbers.takeAny() : noBlock;
    if (other !== noBlock) return other;
    this.#grow();
    return numbers.takeInRow(before);
  }

  #remove(block: number): void {
    leave(this.#index, this.#shift, block, this.#entries);
    if (this.#building !== null && block < this.#builtTo)
      leave(this.#building, this.#buildingShift, block, this.#entries);
    const at = block * entryWords;
    const entries = this.#entries;
    entries[at] = 0;
    entries[at + 1] = 0;
    entries[at + behindOffset] = 0;
    this.#numbers.free(block);
  }

  #grow(): void {
    const capacity = Math.min(BlockRows.blocksMax, wholeGroups(this.end + (this.end >>> 2)));
    const entries = new Int32Array((capacity + 1) * entryWords);
    entries.set(this.#entries);
    this.#entries = entries;
    for (let word = 0; word < this.planes.length; word++) {
      const plane = new Int32Array(capacity);
      plane.set(this.planes[word]!);
      this.planes[word] = plane;
    }
    this.#numbers.grow(capacity);
    const slots = slotsFor(capacity);
    if (this.#building !== null) this.#build(this.#building, capacity);
    if (slots === this.#index.length) return;
    if (capacity <= filledAtOnceMax) this.#fillIndex();
    else this.#beginIndex(slots);
  }

  #fillIndex(): void {
    const index = this.#beginIndex(slotsFor(this.end));
    this.#build(index, this.end);
  }

  #beginIndex(slots: number): Int32Array {
    this.#building = new Int32Array(slots);
    this.#buildingShift = 32 - Math.log2(slots);
    this.#builtTo = 0;
    return this.#building;
  }

  /** Enters the next blocks into the index that is being built, which replaces the other one after the last. */
  #build(index: Int32Array, numbersMax: number): void {
    const to = Math.min(this.#builtTo + numbersMax, this.end);
    const entries = this.#entries;
    for (let block = this.#builtTo; block < to; block++) {
      const at = block * entryWords;
      if (this.#numbers.has(block)) enter(index, this.#buildingShift, block, entries[at]!, entries[at + 1]!);
    }
    this.#builtTo = to;
    if (to < this.end) return;
    this.#index = index;
    this.#shift = this.#buildingShift;
    this.#building = null;
  }
}
