// Hash index of entries with numbers: from a hash to the number of its entry, in one typed array, by linear probing with
// backward shift. The hashes themselves stand in the entries: those of blocks, or those of one worker's handles.
//
// A larger index is filled with the entries that come, beside the present one, which is asked until then.

import { assert } from '../assert.ts';
import { spread } from '../blocks/home.ts';
import { noBlock } from './block-numbers.ts';

const slotsMin = 128;

/**
 * A slot, from the highest bit: distance from the home slot plus 1, at most `distanceMax`; some bits of the hash, as many
 * as there is room for; the entry's number, in as many bits as the index has slots for. 0: empty.
 *
 * Distance and hash bits tell nearly all slots of other hashes from that of the hash in question, so that no other entries
 * are read, which would be a cache miss each. A removal needs the distances alone.
 */
export const numberBits = 27;
/** Longer distances are computed from the entry's hash. */
const distanceMax: number = (1 << (32 - numberBits)) - 1;

const homeBits = 2;
const homeMask = (1 << homeBits) - 1;

/**
 * Keys that differ only in the last `homeBits` bits of the low word have neighbouring homes. The lab numbers the blocks of
 * a prompt that way, so it reads several slots from one cache line. For random keys it makes no difference.
 */
export function homeOf(low: number, high: number, shift: number): number {
  return placeOf(mixed(low, high), low, shift);
}

function mixed(low: number, high: number): number {
  return spread(low >>> homeBits, high);
}

/** @param word from `mixed`, whose upper bits choose the home */
function placeOf(word: number, low: number, shift: number): number {
  return ((word >>> (shift + homeBits)) << homeBits) | (low & homeMask);
}

/** The bits of a slot that hold the number, in an index of so many slots less 1. */
function numberMaskOf(mask: number): number {
  return mask & ((1 << numberBits) - 1);
}

/** The hash bits of a slot: the lowest of `mixed`, which have no part in the home. */
function tagOf(word: number, shift: number): number {
  return (word << (32 - shift)) & ((1 << numberBits) - 1);
}

/** Up to this capacity a larger index is filled at once; else with entries to come, so many numbers with each. */
const filledAtOnceMax = 512;
const builtPerEntry = 32;

/** The numbers of the entries. */
export interface NumbersInUse {
  /** They are smaller. */
  readonly capacity: number;
  has(number: number): boolean;
}

/** Words of hashes are signed. `entries` are the words of all entries, by number. */
export class EntryIndex {
  slots: Int32Array;
  #shift: number;
  readonly #stride: number;
  /** Where the last `find` ended: the slot of what it found, or an empty one and what goes there besides the number. */
  #place = 0;
  #vacant = 0;
  /** What the last `touch` read. Means nothing, but keeps the compiler from dropping the reads. */
  touched = 0;
  /** A larger index that replaces it once all entries are in it; null: none is being built. */
  #building: Int32Array | null = null;
  #buildingShift = 0;
  /** Entries with smaller numbers are in the index that is being built. */
  #builtTo = 0;

  /** @param stride words of an entry, of which the first two are its hash */
  constructor(capacity: number, stride: number) {
    this.#stride = stride;
    this.slots = new Int32Array(slotsFor(capacity));
    this.#shift = 32 - Math.log2(this.slots.length);
  }

  get bytes(): number {
    return this.slots.byteLength + (this.#building?.byteLength ?? 0);
  }

  /** Whether it has as many slots as for this capacity. */
  fits(capacity: number): boolean {
    return this.slots.length === slotsFor(capacity);
  }

  get isBuilding(): boolean {
    return this.#building !== null;
  }

  /** Number of the entry of a hash, or `noBlock`. O(1) expected */
  find(entries: Int32Array, low: number, high: number): number {
    const slots = this.slots;
    const stride = this.#stride;
    const shift = this.#shift;
    const mask = slots.length - 1;
    const numberMask = numberMaskOf(mask);
    const word = mixed(low, high);
    // What the slot of the hash has besides the number, at this distance.
    let expected = (1 << numberBits) | tagOf(word, shift);
    let at = placeOf(word, low, shift);
    for (;;) {
      const slot = slots[at]!;
      if (slot === 0) {
        this.#place = at;
        this.#vacant = expected;
        return noBlock;
      }
      if ((slot & ~numberMask) === expected) {
        const entry = slot & numberMask;
        if (entries[entry * stride] === low && entries[entry * stride + 1] === high) {
          this.#place = at;
          return entry;
        }
      }
      at = (at + 1) & mask;
      if (expected >>> numberBits < distanceMax) expected = (expected + (1 << numberBits)) | 0;
    }
  }

  /**
   * Reads the slots at the homes of the keys at `from` .. `to` - 1 (two words each), so that `find` has them in the
   * processor's cache. The reads depend on nothing, so their cache misses overlap; those of `find` wait for each other
   * behind mispredicted branches.
   */
  touch(keys: Uint32Array, from: number, to: number): void {
    const { slots } = this;
    const shift = this.#shift;
    let read = 0;
    for (let i = from; i < to; i += 2) read ^= slots[homeOf(keys[i]!, keys[i + 1]!, shift)]!;
    this.touched = read;
  }

  /** Like `touch`, for entries that are in the index. */
  touchEntries(which: Int32Array, count: number, entries: Int32Array): void {
    const { slots } = this;
    const stride = this.#stride;
    const shift = this.#shift;
    let read = 0;
    for (let i = 0; i < count; i++) read ^= slots[homeOfEntry(which[i]!, entries, shift, stride)]!;
    this.touched = read;
  }

  /** Enters an entry for whose hash the last `find` found nothing. */
  enterFound(entry: number): void {
    this.slots[this.#place] = this.#vacant | entry;
  }

  /** An entry was entered: enters it into the larger index too, and others. */
  build(entry: number, entries: Int32Array, numbers: NumbersInUse): void {
    const building = this.#building;
    if (building === null) return;
    if (entry < this.#builtTo) enter(building, this.#buildingShift, entry, entries, this.#stride);
    this.#build(building, builtPerEntry, entries, numbers);
  }

  /** O(1) expected, and nothing is searched right after the `find` of its hash. */
  leave(entry: number, entries: Int32Array): void {
    const stride = this.#stride;
    leave(this.slots, this.#shift, entry, entries, stride, this.#place);
    const building = this.#building;
    if (building !== null && entry < this.#builtTo) leave(building, this.#buildingShift, entry, entries, stride, 0);
  }

  /** Makes room for the capacity of `numbers`, at once or with the entries to come. */
  grow(entries: Int32Array, numbers: NumbersInUse): void {
    const { capacity } = numbers;
    const slots = slotsFor(capacity);
    if (this.#building !== null) this.#build(this.#building, capacity, entries, numbers);
    if (slots === this.slots.length) return;
    const building = this.#begin(slots);
    if (capacity <= filledAtOnceMax) this.#build(building, capacity, entries, numbers);
  }

  /** Starts anew with all entries. O(capacity) */
  fill(entries: Int32Array, numbers: NumbersInUse): void {
    this.#build(this.#begin(slotsFor(numbers.capacity)), numbers.capacity, entries, numbers);
  }

  /** @param used how many entries there are @throws Error naming what is wrong */
  assertConsistent(used: number, numbers: NumbersInUse): void {
    assert(slotsIn(this.slots) === used, 'the index has a slot for each entry');
    if (this.#building === null) return;
    let built = 0;
    for (let entry = 0; entry < this.#builtTo; entry++) if (numbers.has(entry)) built++;
    assert(slotsIn(this.#building) === built, 'the next index has a slot for each entry before `#builtTo`');
  }

  #begin(slots: number): Int32Array {
    this.#building = new Int32Array(slots);
    this.#buildingShift = 32 - Math.log2(slots);
    this.#builtTo = 0;
    return this.#building;
  }

  /** Enters the next entries into the index that is being built, which replaces the other one after the last. */
  #build(building: Int32Array, numbersMax: number, entries: Int32Array, numbers: NumbersInUse): void {
    const to = Math.min(this.#builtTo + numbersMax, numbers.capacity);
    for (let entry = this.#builtTo; entry < to; entry++) {
      if (numbers.has(entry)) enter(building, this.#buildingShift, entry, entries, this.#stride);
    }
    this.#builtTo = to;
    if (to < numbers.capacity) return;
    this.slots = building;
    this.#shift = this.#buildingShift;
    this.#building = null;
  }
}

/** @param distance from the home slot plus 1 @param rest the other bits */
function slotOf(distance: number, rest: number): number {
  return ((distance < distanceMax ? distance : distanceMax) << numberBits) | rest;
}

function enter(slots: Int32Array, shift: number, entry: number, entries: Int32Array, stride: number): void {
  const mask = slots.length - 1;
  const low = entries[entry * stride]!;
  const word = mixed(low, entries[entry * stride + 1]!);
  let at = placeOf(word, low, shift);
  let distance = 1;
  while (slots[at] !== 0) {
    at = (at + 1) & mask;
    distance++;
  }
  slots[at] = slotOf(distance, tagOf(word, shift) | entry);
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

function homeOfEntry(entry: number, entries: Int32Array, shift: number, stride: number): number {
  return homeOf(entries[entry * stride]!, entries[entry * stride + 1]!, shift);
}

/** @param place may be the entry's slot */
function leave(
  slots: Int32Array,
  shift: number,
  entry: number,
  entries: Int32Array,
  stride: number,
  place: number,
): void {
  const mask = slots.length - 1;
  const numberMask = numberMaskOf(mask);
  let hole = place & mask;
  if ((slots[hole]! & numberMask) !== entry || slots[hole] === 0) {
    hole = homeOfEntry(entry, entries, shift, stride);
    while ((slots[hole]! & numberMask) !== entry || slots[hole] === 0) hole = (hole + 1) & mask;
  }
  for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
    const slot = slots[next]!;
    if (slot === 0) break;
    // `| 0`: else V8 computes with floats here.
    let distance = (slot >>> numberBits) | 0;
    if (distance === distanceMax) {
      distance = (((next - homeOfEntry(slot & numberMask, entries, shift, stride)) & mask) + 1) | 0;
    }
    // The entry may move back into the hole if that is not before its home.
    const back = (next - hole) & mask;
    if (distance <= back) continue;
    slots[hole] = slotOf(distance - back, slot & ((1 << numberBits) - 1));
    hole = next;
  }
  slots[hole] = 0;
}
