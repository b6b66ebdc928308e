// Mirror of the cache of a worker without KV events: the blocks of our own decisions, evicted least recently used
// first.

import { HashTable } from '../blocks/hash-table.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';
import type { PrefixIndex } from './prefix-index.ts';

/**
 * Holds at most `capacityBlocks` distinct blocks and enters them in the prefix index. A chain is touched tail first, so
 * that its tail is evicted before its head, as in engines.
 */
export class LruMirror {
  readonly #index: PrefixIndex;
  readonly #worker: WorkerIndex;
  /** Sequence hash -> entry. */
  readonly #entries = new HashTable(1);
  readonly #low: number[] = [];
  readonly #high: number[] = [];
  readonly #older: number[] = [];
  readonly #newer: number[] = [];
  readonly #free: number[] = [];
  #oldest = -1;
  #newest = -1;
  #capacityBlocks: number;

  constructor(index: PrefixIndex, worker: WorkerIndex, capacityBlocks: number) {
    this.#index = index;
    this.#worker = worker;
    this.#capacityBlocks = capacityBlocks;
  }

  get size(): number {
    return this.#entries.size;
  }

  setCapacity(capacityBlocks: number): void {
    this.#capacityBlocks = capacityBlocks;
    this.#evict();
  }

  /** The worker has computed or reused these blocks. O(blocks) */
  touch(hashes: BlockHashes): void {
    const { sequence } = hashes;
    for (let block = Math.min(hashes.count, this.#capacityBlocks) - 1; block >= 0; block--) {
      this.#touch(sequence[2 * block]!, sequence[2 * block + 1]!);
    }
    this.#evict();
  }

  #touch(low: number, high: number): void {
    const at = this.#entries.insert(low, high);
    if (!this.#entries.inserted) {
      const entry = this.#entries.slots[at + 2]!;
      this.#unlink(entry);
      this.#linkNewest(entry);
      return;
    }
    const entry = this.#free.pop() ?? this.#low.length;
    this.#entries.slots[at + 2] = entry;
    this.#low[entry] = low;
    this.#high[entry] = high;
    this.#linkNewest(entry);
    this.#index.presume(this.#worker, low, high);
  }

  #evict(): void {
    while (this.#entries.size > this.#capacityBlocks) {
      const entry = this.#oldest;
      this.#unlink(entry);
      const low = this.#low[entry]!;
      const high = this.#high[entry]!;
      this.#entries.remove(this.#entries.find(low, high));
      this.#index.giveUp(this.#worker, low, high);
      this.#free.push(entry);
    }
  }

  #linkNewest(entry: number): void {
    this.#older[entry] = this.#newest;
    this.#newer[entry] = -1;
    if (this.#newest >= 0) this.#newer[this.#newest] = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  #unlink(entry: number): void {
    const older = this.#older[entry]!;
    const newer = this.#newer[entry]!;
    if (older >= 0) this.#newer[older] = newer;
    else this.#oldest = newer;
    if (newer >= 0) this.#older[newer] = older;
    else this.#newest = older;
  }
}

/** An empty mirror of the worker's capacity. Undefined for a worker that sends KV events. */
export function mirrorOf(workers: WorkerTable, index: PrefixIndex, worker: WorkerIndex): LruMirror | undefined {
  if (workers.source(worker) === 'events') return undefined;
  return new LruMirror(index, worker, workers.capacityBlocks[worker]!);
}
