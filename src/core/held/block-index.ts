// Hash index of blocks: from a sequence hash to the number of its block, in one typed array, by linear probing with
// backward shift. The hashes themselves stand in the blocks' entries.

import { spread } from '../blocks/home.ts';

/** Words of an entry: sequence hash (low, high), the block last found behind it, number of holders. */
export const entryWords = 4;
const slotsMin = 128;

/** A slot of the index: distance from the home slot plus 1, at most `distanceMax`, and the block's number. 0: empty. */
export const numberBits = 27;
export const numberMask: number = (1 << numberBits) - 1;
/** Longer distances are computed from the block's hash. */
export const distanceMax: number = (1 << (32 - numberBits)) - 1;

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

export function enter(index: Int32Array, shift: number, block: number, low: number, high: number): void {
  const mask = index.length - 1;
  let at = homeOf(low, high, shift);
  let distance = 1;
  while (index[at] !== 0) {
    at = (at + 1) & mask;
    distance++;
  }
  index[at] = (Math.min(distance, distanceMax) << numberBits) | block;
}

export function slotsIn(index: Int32Array): number {
  let slots = 0;
  for (const slot of index) if (slot !== 0) slots++;
  return slots;
}

/** A power of two: at most three quarters of the slots are taken. */
export function slotsFor(capacity: number): number {
  let slots = slotsMin;
  while (slots * 3 < capacity * 4) slots *= 2;
  return slots;
}

function homeOfBlock(block: number, entries: Int32Array, shift: number): number {
  return homeOf(entries[block * entryWords]!, entries[block * entryWords + 1]!, shift);
}

/** @param entries by number */
export function leave(index: Int32Array, shift: number, block: number, entries: Int32Array): void {
  const mask = index.length - 1;
  let hole = homeOfBlock(block, entries, shift);
  while ((index[hole]! & numberMask) !== block || index[hole] === 0) hole = (hole + 1) & mask;
  for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
    const slot = index[next]!;
    if (slot === 0) break;
    const number = slot & numberMask;
    let distance = slot >>> numberBits;
    if (distance === distanceMax) {
      distance = ((next - homeOfBlock(number, entries, shift)) & mask) + 1;
    }
    // The entry may move back into the hole if that is not before its home.
    const back = (next - hole) & mask;
    if (distance <= back) continue;
    index[hole] = (Math.min(distance - back, distanceMax) << numberBits) | number;
    hole = next;
  }
  index[hole] = 0;
}
