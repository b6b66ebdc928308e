// Hash index of blocks: from a sequence hash to the number of its block, in one typed array, by linear probing with
// backward shift. The hashes themselves stand in the blocks' entries.
//
// A larger index is filled with the blocks that come, beside the present one, which is asked until then.

import { assert } from '../assert.ts';
import { spread } from '../blocks/home.ts';
import { type BlockNumbers, noBlock } from './block-numbers.ts';

/** Words of an entry: sequence hash (low, high), the block last found behind it, number of holders. */
export const entryWords = 4;
export const behindOffset = 2;
export const holdersOffset = 3;
const slotsMin = 128;

/** A slot of the index: distance from the home slot plus 1, at most `distanceMax`, and the block's number. 0: empty. */
export const numberBits = 27;
const numberMask: number = (1 << numberBits) - 1;
/** Longer distances are computed from the block's hash. */
const distanceMax: number = (1 << (32 - numberBits)) - 1;

const homeBits = 2;
const homeMask = (1 << homeBits) - 1;

/**
 * Keys that differ only in the last `homeBits` bits of the low word have neighbouring homes. The lab numbers the blocks of
 * a prompt that way, so it reads several slots from one cache line. For random keys it makes no difference.
 */
export function homeOf(low: number, high: number, shift: number): number {
  const group = spread(low >>> homeBits, high) >>> (shift + homeBits);
  return (group << homeBits) | (low & homeMask);
}

/** Up to this capacity a larger index is filled at once; else with blocks to come, so many numbers with each. */
const filledAtOnceMax = 512;
const builtPerBlock = 32;

/** Words of hashes are signed. `entries` are those of the rows, by number. */
export class BlockIndex {
  slots: Int32Array;
  #shift: number;
  /** The empty slot where the last `find` that found nothing ended, and its distance from the home slot plus 1. */
  #vacant = 0;
  #vacantDistance = 1;
  /** What the last `touch` read. Means nothing, but keeps the compiler from dropping the reads. */
  touched = 0;
  /** A larger index that replaces it once all blocks are in it; null: none is being built. */
  #building: Int32Array | null = null;
  #buildingShift = 0;
  /** Blocks with smaller numbers are in the index that is being built. */
  #builtTo = 0;

  constructor(capacity: number) {
    this.slots = new Int32Array(slotsFor(capacity));
    this.#shift = 32 - Math.log2(this.slots.length);
  }

  get bytes(): number {
    return this.slots.byteLength + (this.#building?.byteLength ?? 0);
  }

  get isBuilding(): boolean {
    return this.#building !== null;
  }

  /** Number of a block, or `noBlock`. O(1) expected */
  find(entries: Int32Array, low: number, high: number): number {
    const slots = this.slots;
    const mask = slots.length - 1;
    let at = homeOf(low, high, this.#shift);
    for (let distance = 1; ; distance++) {
      const slot = slots[at]!;
      if (slot === 0) {
        this.#vacant = at;
        this.#vacantDistance = distance;
        return noBlock;
      }
      const told = slot >>> numberBits;
      if (told === distance || told === distanceMax) {
        const block = slot & numberMask;
        if (entries[block * entryWords] === low && entries[block * entryWords + 1] === high) return block;
      }
      at = (at + 1) & mask;
    }
  }

  /** Reads the slots at the homes of the keys at `from` .. `to` - 1 (two words each), see `HashTable.touch`. */
  touch(keys: Uint32Array, from: number, to: number): void {
    const { slots } = this;
    const shift = this.#shift;
    let read = 0;
    for (let i = from; i < to; i += 2) read ^= slots[homeOf(keys[i]!, keys[i + 1]!, shift)]!;
    this.touched = read;
  }

  /** Enters a block for whose hash the last `find` found nothing. */
  enterFound(block: number): void {
    this.slots[this.#vacant] = slotOf(this.#vacantDistance, block);
  }

  /** A block was entered: enters it into the larger index too, and others. */
  build(block: number, entries: Int32Array, numbers: BlockNumbers): void {
    const building = this.#building;
    if (building === null) return;
    if (block < this.#builtTo) enter(building, this.#buildingShift, block, entries);
    this.#build(building, builtPerBlock, entries, numbers);
  }

  leave(block: number, entries: Int32Array): void {
    leave(this.slots, this.#shift, block, entries);
    if (this.#building !== null && block < this.#builtTo) leave(this.#building, this.#buildingShift, block, entries);
  }

  /** Makes room for the capacity of `numbers`, at once or with the blocks to come. */
  grow(entries: Int32Array, numbers: BlockNumbers): void {
    const { capacity } = numbers;
    const slots = slotsFor(capacity);
    if (this.#building !== null) this.#build(this.#building, capacity, entries, numbers);
    if (slots === this.slots.length) return;
    const building = this.#begin(slots);
    if (capacity <= filledAtOnceMax) this.#build(building, capacity, entries, numbers);
  }

  /** Starts anew with all blocks. O(capacity) */
  fill(entries: Int32Array, numbers: BlockNumbers): void {
    this.#build(this.#begin(slotsFor(numbers.capacity)), numbers.capacity, entries, numbers);
  }

  /** @param used how many blocks there are @throws Error naming what is wrong */
  assertConsistent(used: number, numbers: BlockNumbers): void {
    assert(slotsIn(this.slots) === used, 'the index has a slot for each block');
    if (this.#building === null) return;
    let built = 0;
    for (let block = 0; block < this.#builtTo; block++) if (numbers.has(block)) built++;
    assert(slotsIn(this.#building) === built, 'the next index has a slot for each block before `#builtTo`');
  }

  #begin(slots: number): Int32Array {
    this.#building = new Int32Array(slots);
    this.#buildingShift = 32 - Math.log2(slots);
    this.#builtTo = 0;
    return this.#building;
  }

  /** Enters the next blocks into the index that is being built, which replaces the other one after the last. */
  #build(building: Int32Array, numbersMax: number, entries: Int32Array, numbers: BlockNumbers): void {
    const to = Math.min(this.#builtTo + numbersMax, numbers.capacity);
    for (let block = this.#builtTo; block < to; block++) {
      if (numbers.has(block)) enter(building, this.#buildingShift, block, entries);
    }
    this.#builtTo = to;
    if (to < numbers.capacity) return;
    this.slots = building;
    this.#shift = this.#buildingShift;
    this.#building = null;
  }
}

/** @param distance from the home slot plus 1 */
function slotOf(distance: number, block: number): number {
  return ((distance < distanceMax ? distance : distanceMax) << numberBits) | block;
}

function enter(slots: Int32Array, shift: number, block: number, entries: Int32Array): void {
  const mask = slots.length - 1;
  let at = homeOfBlock(block, entries, shift);
  let distance = 1;
  while (slots[at] !== 0) {
    at = (at + 1) & mask;
    distance++;
  }
  slots[at] = slotOf(distance, block);
}

function slotsIn(slots: Int32Array): number {
  let count = 0;
  for (const slot of slots) if (slot !== 0) count++;
  return count;
}

/** A power of two: at most three quarters of the slots are taken. */
function slotsFor(capacity: number): number {
  let slots = slotsMin;
  while (slots * 3 < capacity * 4) slots *= 2;
  return slots;
}

function homeOfBlock(block: number, entries: Int32Array, shift: number): number {
  return homeOf(entries[block * entryWords]!, entries[block * entryWords + 1]!, shift);
}

function leave(slots: Int32Array, shift: number, block: number, entries: Int32Array): void {
  const mask = slots.length - 1;
  let hole = homeOfBlock(block, entries, shift);
  while ((slots[hole]! & numberMask) !== block || slots[hole] === 0) hole = (hole + 1) & mask;
  for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
    const slot = slots[next]!;
    if (slot === 0) break;
    const number = slot & numberMask;
    let distance = slot >>> numberBits;
    if (distance === distanceMax) {
      distance = ((next - homeOfBlock(number, entries, shift)) & mask) + 1;
    }
    // The entry may move back into the hole if that is not before its home.
    const back = (next - hole) & mask;
    if (distance <= back) continue;
    slots[hole] = slotOf(distance - back, number);
    hole = next;
  }
  slots[hole] = 0;
}
