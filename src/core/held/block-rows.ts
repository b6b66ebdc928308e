// Which workers hold each block: blocks by their sequence hash, with one bit a worker.
//
// A block has a number as long as any worker holds it. Blocks that are stored in a row get numbers in a row where these
// are free, and each block remembers the one that was last found behind it. So a pass along a chain reads memory in
// order, and asks the hash index only where chains part. Both are guesses: a block is known by its hash alone.
// A worker that is cleared loses all its bits at once. Blocks that nobody holds then keep their numbers for a while, as
// "dead" ones: they are found, but no worker has them. `sweep` takes their numbers back, some at a time.

import { assert } from '../assert.ts';
import { bitCount } from './bit-count.ts';
import { BlockNumbers, newChain, noBlock, wholeGroups } from './block-numbers.ts';
import { behindOffset, compacted, entryWords, holdersOffset, longer } from './compacted-rows.ts';
import { EntryIndex, numberBits } from './entry-index.ts';

const capacityMin = 64;
/** Blocks of a row whose places in the index are read at a time. A power of two. */
const touchedMax = 64;

export class BlockRows {
  /** At this number of distinct blocks no more are taken. */
  static readonly blocksMax: number = 1 << numberBits;

  /** Bits of 32 workers each: that of worker w for block b is bit `w & 31` of `planes[w >>> 5][b]`. */
  readonly planes: Int32Array[] = [];
  /** Whether the last `hold` found that the worker did not hold the block before. */
  added = false;
  /** Whether the block of the last `hold` got a number. */
  inserted = false;
  /** The last block of the last `holdRow`. */
  last = noBlock;
  /** The blocks of the last `holdRow`. */
  row: Int32Array = new Int32Array(0);
  /** One entry more than there are numbers, so that a guess may point behind the last. A free entry is 0. */
  #entries: Int32Array = new Int32Array((capacityMin + 1) * entryWords);
  #numbers = new BlockNumbers(capacityMin);
  readonly #index = new EntryIndex(capacityMin, entryWords);
  /** The blocks of a `dropAll` that nobody holds any more. */
  #left: Int32Array = new Int32Array(64);
  readonly #one = new Int32Array(1);
  /** Blocks with a number and without a holder. */
  #dead = 0;
  /** Where `sweep` goes on. */
  #sweptTo = 0;

  /** Numbers in use: distinct blocks, and dead ones. */
  get size(): number {
    return this.#numbers.size;
  }

  /** Whether `sweep` has anything to do. */
  get hasDead(): boolean {
    return this.#dead > 0;
  }

  get bytes(): number {
    let bytes = this.#entries.byteLength + this.#index.bytes + this.#numbers.bytes;
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

  /** Words of the block's hash, signed. */
  low(block: number): number {
    return this.#entries[block * entryWords]!;
  }

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
    return this.#index.find(this.#entries, low | 0, high | 0);
  }

  /** Reads the index at the homes of the keys at `from` .. `to` - 1 (two words each), see `EntryIndex.touch`. */
  touch(keys: Uint32Array, from: number, to: number): void {
    this.#index.touch(keys, from, to);
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
    this.added = this.#mark(worker, block, this.inserted);
    return block;
  }

  /**
   * Like `hold`, for blocks `from`, `from` + 1 .. of a chain that the worker does not hold yet, at most to `to` - 1.
   * `last` is then the last of them.
   * @param keys two words a block
   * @returns how many. The next one is held already, or there are `blocksMax` others
   */
  holdRow(worker: number, before: number, keys: Uint32Array, from: number, to: number): number {
    if (this.row.length < to - from) this.row = new Int32Array(to - from);
    let last = before;
    let i = from;
    while (i < to) {
      const low = keys[2 * i]! | 0;
      const high = keys[2 * i + 1]! | 0;
      const block = this.findBehind(last, low, high);
      if (block === noBlock) {
        const inserted = this.#insertRow(worker, last, keys, i, to, i - from);
        if (inserted === 0) break;
        i += inserted;
        last = this.last;
        continue;
      }
      if (!this.#mark(worker, block, false)) break;
      this.row[i++ - from] = block;
      last = block;
    }
    this.last = last;
    return i - from;
  }

  /** The worker does not hold these blocks any more. @returns how many of them it held. O(count) */
  dropAll(worker: number, blocks: Int32Array, count: number): number {
    const bit = 1 << (worker & 31);
    const plane = this.planes[worker >>> 5]!;
    const entries = this.#entries;
    if (this.#left.length < count) this.#left = new Int32Array(blocks.length);
    const left = this.#left;
    let leftCount = 0;
    let dropped = 0;
    for (let i = 0; i < count; i++) {
      const block = blocks[i]!;
      const holders = plane[block]!;
      if ((holders & bit) === 0) continue;
      dropped++;
      plane[block] = holders & ~bit;
      const at = block * entryWords + holdersOffset;
      const holderCount = entries[at]! - 1;
      entries[at] = holderCount;
      if (holderCount === 0) left[leftCount++] = block;
    }
    if (leftCount > 1) this.#index.touchEntries(left, leftCount, entries);
    for (let i = 0; i < leftCount; i++) this.#remove(left[i]!);
    return dropped;
  }

  /** The worker does not hold the block any more. @returns whether it did */
  drop(worker: number, block: number): boolean {
    this.#one[0] = block;
    return this.dropAll(worker, this.#one, 1) === 1;
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
    const { entries, planes, numbers, renumbered } = compacted(this.#entries, this.planes, this.size, capacityMin);
    this.#entries = entries;
    this.#numbers = numbers;
    this.#dead = 0;
    this.#sweptTo = 0;
    for (const [word, plane] of planes.entries()) this.planes[word] = plane;
    this.#index.fill(entries, numbers);
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
    this.#index.assertConsistent(used, this.#numbers);
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

  /**
   * Gives numbers in a row to the blocks `from`, `from` + 1 .. of a chain that are not found, and one to the first in
   * any case. `last` is then the last of them.
   * @returns how many, 0 if there are `blocksMax`
   */
  #insertRow(worker: number, before: number, keys: Uint32Array, from: number, to: number, rowAt: number): number {
    this.last = before;
    if (this.size === BlockRows.blocksMax) return 0;
    let last = this.#insert(before, keys[2 * from]! | 0, keys[2 * from + 1]! | 0);
    const bit = 1 << (worker & 31);
    const plane = this.planes[worker >>> 5]!;
    const entries = this.#entries;
    const index = this.#index;
    plane[last] = bit;
    this.row[rowAt] = last;
    entries[last * entryWords + holdersOffset] = 1;
    let i = from + 1;
    const rowTo = index.isBuilding ? i : to;
    for (; i < rowTo; i++) {
      // Most blocks behind a new one are new as well, so each is searched in the index.
      if (((i - from) & (touchedMax - 1)) === 1) index.touch(keys, 2 * i, 2 * Math.min(to, i + touchedMax));
      const low = keys[2 * i]! | 0;
      const high = keys[2 * i + 1]! | 0;
      if (index.find(entries, low, high) !== noBlock) break;
      const block = this.#numbers.takeInRow(last);
      if (block === noBlock) break;
      index.enterFound(block);
      const at = block * entryWords;
      entries[at] = low;
      entries[at + 1] = high;
      entries[at + behindOffset] = block + 1;
      entries[at + holdersOffset] = 1;
      entries[last * entryWords + behindOffset] = block;
      plane[block] = bit;
      this.row[rowAt + i - from] = block;
      last = block;
    }
    this.last = last;
    return i - from;
  }

  /** Sets the worker's bit. @returns whether it was not set */
  #mark(worker: number, block: number, isNew: boolean): boolean {
    const plane = this.planes[worker >>> 5]!;
    const bit = 1 << (worker & 31);
    if ((plane[block]! & bit) !== 0) return false;
    plane[block] = plane[block]! | bit;
    const holders = block * entryWords + holdersOffset;
    if (this.#entries[holders] === 0 && !isNew) this.#dead--;
    this.#entries[holders] = this.#entries[holders]! + 1;
    return true;
  }

  /** Right after a `find` of the same key that found nothing. */
  #insert(before: number, low: number, high: number): number {
    const { slots } = this.#index;
    const block = this.#take(before);
    const at = block * entryWords;
    const entries = this.#entries;
    entries[at] = low;
    entries[at + 1] = high;
    entries[at + behindOffset] = block + 1;
    entries[at + holdersOffset] = 0;
    if (before >= 0) entries[before * entryWords + behindOffset] = block;
    // Numbering the block may have begun another index.
    if (slots !== this.#index.slots) this.find(low, high);
    this.#index.enterFound(block);
    this.#index.build(block, entries, this.#numbers);
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
    this.#index.leave(block, this.#entries);
    const at = block * entryWords;
    const entries = this.#entries;
    entries[at] = 0;
    entries[at + 1] = 0;
    entries[at + behindOffset] = 0;
    this.#numbers.free(block);
  }

  #grow(): void {
    const capacity = Math.min(BlockRows.blocksMax, wholeGroups(this.end + (this.end >>> 2)));
    this.#entries = longer(this.#entries, (capacity + 1) * entryWords);
    for (let word = 0; word < this.planes.length; word++) this.planes[word] = longer(this.planes[word]!, capacity);
    this.#numbers.grow(capacity);
    this.#index.grow(this.#entries, this.#numbers);
  }
}
