// Lingering promises: blocks of ended requests that the engine has not announced yet. They count as overlap a little
// longer.
//
// While a request is in flight, the ledger counts its blocks. When the request ends normally, or is aborted after its
// first token, the engine has computed the blocks, but the event may be late. Without promises every short request
// would leave a gap. A promise ends when an event confirms it or at its deadline. If an event removes one of its
// blocks, the promise holds only up to that block.

import { DueQueue } from '../blocks/due-queue.ts';
import { HashTable } from '../blocks/hash-table.ts';
import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';
import type { RemovalListener } from './block-removal.ts';
import type { PrefixIndex } from './prefix-index.ts';

/** Removed blocks remembered per worker in each of two generations. When one is full, the older one is dropped. */
const removedMax = 32_768;

/** Blocks of one worker that were removed while promises were open. */
class RemovedBlocks {
  #recent = new HashTable(0);
  #older = new HashTable(0);

  get isEmpty(): boolean {
    return this.#recent.size === 0 && this.#older.size === 0;
  }

  add(low: number, high: number): void {
    if (this.#recent.size >= removedMax) {
      this.#older = this.#recent;
      this.#recent = new HashTable(0);
    }
    this.#recent.insert(low, high);
  }

  has(low: number, high: number): boolean {
    return this.#recent.find(low, high) >= 0 || this.#older.find(low, high) >= 0;
  }

  remove(low: number, high: number): void {
    for (const blocks of [this.#recent, this.#older]) {
      const at = blocks.find(low, high);
      if (at >= 0) blocks.remove(at);
    }
  }
}

interface Promised {
  readonly worker: WorkerIndex;
  readonly last: Run;
  readonly low: number;
  readonly high: number;
  /** Index in the worker's list. -1 once withdrawn. */
  place: number;
}

export class LingeringPromises implements RemovalListener {
  readonly #index: PrefixIndex;
  readonly #runs = new PrefixRuns();
  readonly #due = new DueQueue<Promised>();
  readonly #byWorker: Promised[][] = [];
  readonly #removed: (RemovedBlocks | undefined)[] = [];

  constructor(index: PrefixIndex) {
    this.#index = index;
  }

  /** Promises the blocks, unless the engine has announced them already. */
  add(hashes: BlockHashes, worker: WorkerIndex, lingerMs: number, nowMs: number): void {
    if (hashes.count === 0) return;
    const low = hashes.sequence[2 * hashes.count - 2]!;
    const high = hashes.sequence[2 * hashes.count - 1]!;
    if (this.#index.holds(worker, low, high)) return;
    const last = this.#runs.insert(hashes, worker);
    if (!last) return;
    this.#restore(worker, hashes);
    this.#byWorker[worker] ??= [];
    const list = this.#byWorker[worker];
    const promised: Promised = { worker, last, low, high, place: list.length };
    list.push(promised);
    this.#due.push(nowMs + lingerMs, promised);
  }

  /**
   * Raises `out[w]` to the number of leading prompt blocks promised by ended requests. @param scratch zeros, as long as
   * `out`; zeros again afterwards
   */
  raiseLeadingRuns(hashes: BlockHashes, out: Int32Array, scratch: Int32Array, workerCount: number): void {
    if (this.#runs.runCount === 0) return;
    this.#runs.addLeadingRuns(hashes, scratch);
    for (let worker = 0; worker < workerCount; worker++) {
      if (scratch[worker]! > out[worker]!) {
        out[worker] = Math.max(out[worker]!, this.#unremoved(worker, hashes, scratch[worker]!));
      }
      scratch[worker] = 0;
    }
  }

  /** Whether promises of the worker are open. */
  wants(worker: WorkerIndex): boolean {
    const list = this.#byWorker[worker];
    return list !== undefined && list.length > 0;
  }

  /** The engine dropped its last copy of a block. */
  removed(worker: WorkerIndex, low: number, high: number): void {
    if (!this.wants(worker)) return;
    this.#removed[worker] ??= new RemovedBlocks();
    this.#removed[worker].add(low, high);
  }

  /** Withdraws the promises that the worker's stored blocks confirm. */
  confirm(worker: WorkerIndex): void {
    const list = this.#byWorker[worker];
    if (!list) return;
    for (let place = list.length - 1; place >= 0; place--) {
      const promised = list[place]!;
      if (this.#index.holds(worker, promised.low, promised.high)) this.#withdraw(promised);
    }
  }

  /** Withdraws all promises of the worker. */
  drop(worker: WorkerIndex): void {
    const list = this.#byWorker[worker];
    while (list && list.length > 0) this.#withdraw(list[list.length - 1]!);
  }

  /** Withdraws the promises whose deadline has passed. */
  expire(nowMs: number): void {
    for (let due = this.#due.popDue(nowMs); due; due = this.#due.popDue(nowMs)) {
      if (due.place >= 0) this.#withdraw(due);
    }
  }

  assertConsistent(): void {
    this.#runs.assertConsistent();
  }

  /** Leading promised blocks before the first one that was removed and not computed again. */
  #unremoved(worker: WorkerIndex, { sequence }: BlockHashes, promisedBlocks: number): number {
    const removed = this.#removed[worker];
    if (removed === undefined || removed.isEmpty) return promisedBlocks;
    for (let block = 0; block < promisedBlocks; block++) {
      const low = sequence[2 * block]!;
      const high = sequence[2 * block + 1]!;
      // Most blocks are held, and the index has one row for all workers: the other way around takes twice as long.
      if (!this.#index.holds(worker, low, high) && removed.has(low, high)) return block;
    }
    return promisedBlocks;
  }

  /** The blocks were computed again, so they no longer count as removed. */
  #restore(worker: WorkerIndex, { sequence, count }: BlockHashes): void {
    const removed = this.#removed[worker];
    if (removed === undefined || removed.isEmpty) return;
    for (let block = 0; block < count; block++) removed.remove(sequence[2 * block]!, sequence[2 * block + 1]!);
  }

  #withdraw(promised: Promised): void {
    const list = this.#byWorker[promised.worker]!;
    const moved = list.pop()!;
    if (moved !== promised) {
      list[promised.place] = moved;
      moved.place = promised.place;
    }
    promised.place = -1;
    if (list.length === 0) this.#removed[promised.worker] = undefined;
    this.#runs.remove(promised.last, promised.worker);
  }
}
