// What each worker holds: as its KV events tell, or, without events, as a mirror of our own decisions presumes.

import type { BlockHasher } from '../blocks/block-hash.ts';
import type { BookingRecord } from '../ledger/active-blocks.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import type { KvEvent, KvEventOutcome, WorkerIndex } from '../types.ts';
import { Announcements } from './announcements.ts';
import { type LruMirror, mirrorOf } from './lru-mirror.ts';
import { PrefixIndex } from './prefix-index.ts';

/** What a booking says of its prompt. */
export type BookedPrompt = Pick<BookingRecord, 'worker' | 'hashes' | 'wholeAnswer' | 'announced'>;

const nothingApplied: KvEventOutcome = { appliedBlocks: 0, orphanBlocks: 0, unknownBlocks: 0 };

export class HeldBlocks {
  readonly index: PrefixIndex;
  readonly announcements: Announcements;
  readonly #workers: WorkerTable;
  readonly #mirrors: (LruMirror | undefined)[] = [];

  constructor(workers: WorkerTable, hasher: BlockHasher) {
    this.#workers = workers;
    this.index = new PrefixIndex(hasher);
    this.announcements = new Announcements(this.index);
  }

  addWorker(worker: WorkerIndex): void {
    this.index.addWorker(worker);
    this.setPages(worker);
    this.announcements.forget(worker);
    this.#mirrors[worker] = mirrorOf(this.#workers, this.index, worker);
  }

  removeWorker(worker: WorkerIndex): void {
    this.announcements.forget(worker);
    this.#mirrors[worker]?.clear();
    this.#mirrors[worker] = undefined;
    this.index.removeWorker(worker);
  }

  /** Nothing is known of the worker's blocks any more; whether it is mirrored is looked up anew. */
  forget(worker: WorkerIndex): void {
    this.#mirrors[worker]?.clear();
    this.index.clear(worker);
    this.announcements.forget(worker);
    this.#mirrors[worker] = mirrorOf(this.#workers, this.index, worker);
  }

  /** Takes over the worker's sizes of pages and blocks. It must hold nothing. */
  setPages(worker: WorkerIndex): void {
    this.index.setPages(worker, this.#workers.pageSize[worker]!, this.#workers.blockSize[worker]!);
  }

  setCapacity(worker: WorkerIndex, capacityBlocks: number): void {
    this.#mirrors[worker]?.setCapacity(capacityBlocks);
  }

  /** The worker has computed the prompt of a live booking. */
  prefillDone({ worker, hashes, wholeAnswer, announced }: BookedPrompt, nowMs: number): void {
    const mirror = this.#mirrors[worker];
    if (mirror) mirror.touch(hashes);
    else if (!wholeAnswer && announced) this.announcements.lag.computed(worker, hashes, nowMs);
  }

  /** A booking has ended whose prompt was computed. @param promises whether its blocks count until an event tells of them */
  ended({ worker, hashes, wholeAnswer, announced }: BookedPrompt, promises: boolean, nowMs: number): void {
    const mirror = this.#mirrors[worker];
    if (mirror) mirror.touch(hashes);
    else if (announced) this.announcements.ended(worker, hashes, wholeAnswer, promises, nowMs);
  }

  /** Applies one KV event; without effect on a worker that is mirrored. */
  apply(worker: WorkerIndex, event: KvEvent, nowMs: number): KvEventOutcome {
    if (this.#mirrors[worker]) return nothingApplied;
    const outcome = this.index.apply(worker, event);
    this.announcements.applied(worker, event, nowMs);
    if (event.kind === 'cleared') this.#workers.viewEpoch[worker]!++;
    return outcome;
  }

  /** @throws Error naming the difference */
  assertConsistent(): void {
    this.index.assertConsistent();
    this.announcements.promises.assertConsistent();
  }
}
