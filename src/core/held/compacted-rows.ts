// Blocks numbered anew, without gaps, in arrays that are no longer than they need to be.

import { BlockNumbers, noBlock, wholeGroups } from './block-numbers.ts';

/** Words of an entry: sequence hash (low, high), the block last found behind it, number of holders. */
export const entryWords = 4;
export const behindOffset = 2;
export const holdersOffset = 3;

export interface CompactedRows {
  readonly entries: Int32Array;
  readonly planes: readonly Int32Array[];
  readonly numbers: BlockNumbers;
  /** The new number for each old one in use. */
  readonly renumbered: Uint32Array;
}

/** A copy with room behind. */
export function longer(from: Int32Array, length: number): Int32Array {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

/**
 * O(numbers)
 * @param entries one more than there are numbers
 * @param used numbers with a holder, or more
 */
export function compacted(
  entries: Int32Array,
  planes: readonly Int32Array[],
  used: number,
  capacityMin: number,
): CompactedRows {
  const end = entries.length / entryWords - 1;
  const capacity = Math.max(capacityMin, wholeGroups(2 * used));
  const packed = new Int32Array((capacity + 1) * entryWords);
  const packedPlanes = planes.map(() => new Int32Array(capacity));
  const renumbered = new Uint32Array(end);
  const numbers = new BlockNumbers(capacity);
  let last = noBlock;
  for (let block = 0; block < end; block++) {
    const from = block * entryWords;
    if (entries[from + holdersOffset] === 0) continue;
    last = numbers.takeInRow(last);
    renumbered[block] = last;
    const to = last * entryWords;
    packed[to] = entries[from]!;
    packed[to + 1] = entries[from + 1]!;
    packed[to + behindOffset] = last + 1;
    packed[to + holdersOffset] = entries[from + holdersOffset]!;
    for (let word = 0; word < planes.length; word++) packedPlanes[word]![last] = planes[word]![block]!;
  }
  return { entries: packed, planes: packedPlanes, numbers, renumbered };
}
