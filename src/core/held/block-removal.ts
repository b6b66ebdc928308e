// Removes the blocks of one event: all handles first, then the blocks, so that the cache misses of each step overlap.

import type { WorkerIndex } from '../types.ts';
import { noBlock } from './block-numbers.ts';
import type { BlockRows } from './block-rows.ts';
import { type Holdings, takeOne } from './holdings.ts';

export interface RemovalListener {
  /** Whether it wants to be told of the worker's blocks. */
  wants(worker: WorkerIndex): boolean;
  removed(worker: WorkerIndex, low: number, high: number): void;
}

export class BlockRemoval {
  /** Is told of each block whose last copy is removed. */
  listener: RemovalListener | null = null;
  readonly #rows: BlockRows;
  /** Blocks of the event of which no copy is left. */
  #blocks: Int32Array = new Int32Array(64);
  #count = 0;

  constructor(rows: BlockRows) {
    this.#rows = rows;
  }

  /**
   * Removes one copy of each.
   * @param keys handles, two words each
   * @returns how many were known
   */
  remove(holdings: Holdings, worker: WorkerIndex, keys: Uint32Array): number {
    const rows = this.#rows;
    if (this.#blocks.length < keys.length / 2) this.#blocks = new Int32Array(keys.length / 2);
    const copiesLeft = holdings.handlesAreHashes
      ? this.#takeHashes(holdings, worker, keys)
      : this.#takeHandles(holdings, keys);
    const blocks = this.#blocks;
    const count = this.#count;
    if (this.listener?.wants(worker) === true) {
      for (let i = 0; i < count; i++) this.listener.removed(worker, rows.low(blocks[i]!), rows.high(blocks[i]!));
    }
    const dropped = rows.dropAll(worker, blocks, count);
    holdings.blocks -= dropped;
    return copiesLeft + dropped;
  }

  /** @returns how many blocks have a copy left */
  #takeHandles({ handles, copies, shared }: Holdings, keys: Uint32Array): number {
    const rows = this.#rows;
    const blocks = this.#blocks;
    let count = 0;
    let copiesLeft = 0;
    if (keys.length > 2) handles.touch(keys, 0, keys.length);
    for (let i = 0; i < keys.length; i += 2) {
      const low = keys[i]! | 0;
      const high = keys[i + 1]! | 0;
      const at = handles.find(low, high);
      if (at < 0) continue;
      if (takeOne(copies, low, high)) {
        copiesLeft++;
        continue;
      }
      const block = handles.entries[at + 2]!;
      handles.remove(at);
      if (shared.size > 0 && takeOne(shared, rows.low(block), rows.high(block))) copiesLeft++;
      else blocks[count++] = block;
    }
    this.#count = count;
    return copiesLeft;
  }

  /** A block that comes twice may stand in the list twice. @returns how many blocks have a copy left */
  #takeHashes({ shared }: Holdings, worker: WorkerIndex, keys: Uint32Array): number {
    const rows = this.#rows;
    const blocks = this.#blocks;
    const plane = rows.planes[worker >>> 5]!;
    const bit = 1 << (worker & 31);
    let count = 0;
    let copiesLeft = 0;
    let block = noBlock;
    for (let i = 0; i < keys.length; i += 2) {
      const low = keys[i]! | 0;
      const high = keys[i + 1]! | 0;
      block = rows.findAhead(block, low, high);
      if (block === noBlock || (plane[block]! & bit) === 0) continue;
      if (shared.size > 0 && takeOne(shared, low, high)) copiesLeft++;
      else blocks[count++] = block;
    }
    this.#count = count;
    return copiesLeft;
  }
}
