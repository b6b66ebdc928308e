// Blocks of requests that have ended before their engine announced them: they count as overlap for a little longer.
//
// While a request is in flight its blocks are promised by the ledger itself. When it ends normally (or is aborted
// after its first token) the engine has computed them, but the event may lag: without this every short request leaves
// a hole. A promise ends with the event that confirms it or at its deadline, whichever comes first.

import { DueQueue } from '../blocks/due-queue.ts';
import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';
import type { PrefixIndex } from './prefix-index.ts';

/** Shortest life of a promise, for workers whose event lag is small or unknown. */
const lingerMsMin = 250;

interface Promised {
  readonly worker: WorkerIndex;
  readonly last: Run;
  readonly low: number;
  readonly high: number;
  /** Place in the worker's list; -1 once withdrawn. */
  place: number;
}

export class LingeringPromises {
  readonly #index: PrefixIndex;
  readonly #runs = new PrefixRuns();
  readonly #due = new DueQueue<Promised>();
  readonly #byWorker: Promised[][] = [];

  constructor(index: PrefixIndex) {
    this.#index = index;
  }

  /** Adds nothing if the engine has announced the blocks already. @param eventLagMs the worker's measured lag */
  add(hashes: BlockHashes, worker: WorkerIndex, eventLagMs: number, nowMs: number): void {
    if (hashes.count === 0) return;
    const low = hashes.sequence[2 * hashes.count - 2]!;
    const high = hashes.sequence[2 * hashes.count - 1]!;
    if (this.#index.holds(worker, low, high)) return;
    const last = this.#runs.insert(hashes, worker);
    if (!last) return;
    this.#byWorker[worker] ??= [];
    const list = this.#byWorker[worker];
    const promised: Promised = { worker, last, low, high, place: list.length };
    list.push(promised);
    this.#due.push(nowMs + Math.max(lingerMsMin, 2 * eventLagMs), promised);
  }

  /** Raises `out[w]` to the leading prompt blocks promised by ended requests. @param scratch zeroed, as long as `out`; left zeroed */
  raiseLeadingRuns(hashes: BlockHashes, out: Int32Array, scratch: Int32Array, workerCount: number): void {
    if (this.#runs.runCount === 0) return;
    this.#runs.addLeadingRuns(hashes, scratch);
    for (let worker = 0; worker < workerCount; worker++) {
      if (scratch[worker]! > out[worker]!) out[worker] = scratch[worker]!;
      scratch[worker] = 0;
    }
  }

  /** After blocks of the worker were stored: withdraws the promises that they confirm. */
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

  /** Withdraws what is due. */
  expire(nowMs: number): void {
    for (let due = this.#due.popDue(nowMs); due; due = this.#due.popDue(nowMs)) {
      if (due.place >= 0) this.#withdraw(due);
    }
  }

  assertConsistent(): void {
    this.#runs.assertConsistent();
  }

  #withdraw(promised: Promised): void {
    const list = this.#byWorker[promised.worker]!;
    const moved = list.pop()!;
    if (moved !== promised) {
      list[promised.place] = moved;
      moved.place = promised.place;
    }
    promised.place = -1;
    this.#runs.remove(promised.last, promised.worker);
  }
}
