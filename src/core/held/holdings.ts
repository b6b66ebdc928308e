// The handles and copies of the blocks that one worker is known to hold.

import { HashTable } from '../blocks/hash-table.ts';
import type { CoarseBlocks } from './coarse-blocks.ts';
import { HandleTable } from './handle-table.ts';

export class Holdings {
  /** Engine handle -> [number of the block in `BlockRows`]. Empty if handles are sequence hashes. */
  readonly handles = new HandleTable();
  /** Engine handle -> [number of further copies], for the few blocks that have more than one. */
  readonly copies = new HashTable(1);
  /**
   * Sequence hash -> [number of further handles], for blocks with more than one handle. If handles are sequence hashes:
   * [number of further copies].
   */
  readonly shared = new HashTable(1);
  /** Whether every handle is the sequence hash itself, as in the lab and for coarse blocks. */
  handlesAreHashes = false;
  /** Combines pages into blocks if the engine's pages are smaller than the indexed blocks. */
  coarse: CoarseBlocks | null = null;
  blocks = 0;
  /** The part of `blocks` that was presumed, without event and handle. */
  presumed = 0;
}

/** Adds one to the key's number. */
export function addOne(counts: HashTable, low: number, high: number): void {
  const at = counts.insert(low, high);
  counts.slots[at + 2] = counts.slots[at + 2]! + 1;
}

/** Takes one from the key's number. @returns false if it is 0 */
export function takeOne(counts: HashTable, low: number, high: number): boolean {
  if (counts.size === 0) return false;
  const at = counts.find(low, high);
  if (at < 0) return false;
  if (counts.slots[at + 2]! > 1) counts.slots[at + 2] = counts.slots[at + 2]! - 1;
  else counts.remove(at);
  return true;
}
