// Blocks that each worker holds, from its KV events or, without events, from a mirror of our own decisions.

import type { BlockHasher } from '../blocks/block-hash.ts';
import type { BookingRecord } from '../ledger/active-blocks.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import type { BlockHashes, KvEvent, KvEventOutcome, WorkerIndex } from '../types.ts';
import { Announcements } from './announcements.ts';
import { type LruMirror, mirrorOf } from './lru-mirror.ts';
import { OthersPromises } from './others-promises.ts';
import { PrefixIndex } from './prefix-index.ts';

/** The fields of a booking that describe its prompt. */
export type BookedPrompt = Pick<BookingRecord, 'worker' | 'hashes' | 'wholeAnswer' | 'announced'>;

export const nothingApplied: KvEventOutcome = { appliedBlocks: 0, orphanBlocks: 0, unknownBlocks: 0 };

export class HeldBlocks {
  readonly index: PrefixIndex;
  readonly announcements: Announcements;
  /** What other routers have sent to the workers. */
  readonly others: OthersPromises = new OthersPromises();
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
    this.#mirrors[worker] = undefined;
    this.index.removeWorker(worker);
  }

  /** Drops all known blocks of the worker. Starts or ends its mirror according to its source. */
  forget(worker: WorkerIndex): void {
    this.index.clear(worker);
    this.announcements.forget(worker);
    this.#mirrors[worker] = mirrorOf(this.#workers, this.index, worker);
  }

  /** Reads the worker's page and block size. The worker must hold nothing. */
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

  /** Another router's prompt was computed. Only a mirror needs to be told; otherwise KV events announce it. */
  othersComputed(worker: WorkerIndex, hashes: BlockHashes): void {
    this.#mirrors[worker]?.touch(hashes);
  }

  /**
   * A booking has ended, and its prompt was computed.
   * @param promises whether the prompt's blocks count as overlap until an event announces them
   */
  ended({ worker, hashes, wholeAnswer, announced }: BookedPrompt, promises: boolean, nowMs: number): void {
    const mirror = this.#mirrors[worker];
    if (mirror) mirror.touch(hashes);
    else if (announced) this.announcements.ended(worker, hashes, wholeAnswer, promises, nowMs);
  }

  /** Applies one KV event. Does nothing for a mirrored worker. */
  apply(worker: WorkerIndex, event: KvEvent, nowMs: number): KvEventOutcome {
    if (this.#mirrors[worker]) return nothingApplied;
    const outcome = this.index.apply(worker, event);
    this.announcements.applied(worker, event, nowMs);
    if (event.kind === 'cleared') this.#workers.viewEpoch[worker]!++;
    return outcome;
  }

  /** @throws Error naming the total that differs */
  assertConsistent(): void {
    this.index.assertConsistent();
    this.announcements.promises.assertConsistent();
    this.others.assertConsistent();
  }
}
