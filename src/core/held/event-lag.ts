// Lag of each worker's KV events: the time from when a prompt is known to be computed (first token or whole answer) to
// the event of its last full block.

import type { BlockHashes, WorkerIndex } from '../types.ts';
import type { PrefixIndex } from './prefix-index.ts';

/** Requests watched at a time per worker. Further requests are not sampled. */
const watchedMax = 32;
/** An event that is later than this counts as missed. */
const lagMsMax = 3000;
/** Shortest lifetime of a promise, and its lifetime before any event was timed. */
const lingerMsMin = 250;
const lingerUnknownMs = lagMsMax;
/** Factor by which the lag falls on a shorter sample. It rises at once and falls slowly. */
const fall = 0.95;

interface Watched {
  readonly low: number;
  readonly high: number;
  readonly computedMs: number;
}

export class EventLag {
  readonly #index: PrefixIndex;
  readonly #watched: Watched[][] = [];
  readonly #lagMs: number[] = [];
  readonly #missed: number[] = [];
  readonly #matched: number[] = [];

  constructor(index: PrefixIndex) {
    this.#index = index;
  }

  reset(worker: WorkerIndex): void {
    this.#watched[worker] = [];
    this.#lagMs[worker] = 0;
    this.#missed[worker] = 0;
    this.#matched[worker] = 0;
  }

  /** Consecutive requests whose blocks were not announced in time. */
  missed(worker: WorkerIndex, nowMs: number): number {
    const watched = this.#watched[worker]!;
    while (watched.length > 0 && nowMs - watched[0]!.computedMs > lagMsMax) {
      watched.shift();
      this.#missed[worker]!++;
    }
    return this.#missed[worker]!;
  }

  /** Requests whose blocks were announced, since the last reset. */
  matched(worker: WorkerIndex): number {
    return this.#matched[worker]!;
  }

  /** How long a computed block counts as held without an event. */
  lingerMs(worker: WorkerIndex): number {
    return this.#matched[worker] === 0 ? lingerUnknownMs : Math.max(lingerMsMin, 2 * this.#lagMs[worker]!);
  }

  /** 0 before the first observation, and for events that come before the first token. */
  lagMs(worker: WorkerIndex): number {
    return this.#lagMs[worker]!;
  }

  /** The prompt blocks of a request are now known to be computed. */
  computed(worker: WorkerIndex, hashes: BlockHashes, nowMs: number): void {
    if (hashes.count === 0) return;
    const low = hashes.sequence[2 * hashes.count - 2]!;
    const high = hashes.sequence[2 * hashes.count - 1]!;
    this.missed(worker, nowMs);
    if (this.#index.holds(worker, low, high)) this.#sample(worker, 0);
    else if (this.#watched[worker]!.length < watchedMax) this.#watched[worker]!.push({ low, high, computedMs: nowMs });
  }

  /** Blocks of the worker were stored. */
  stored(worker: WorkerIndex, nowMs: number): void {
    const watched = this.#watched[worker]!;
    for (let i = watched.length - 1; i >= 0; i--) {
      const one = watched[i]!;
      if (!this.#index.holds(worker, one.low, one.high)) continue;
      this.#sample(worker, nowMs - one.computedMs);
      watched.splice(i, 1);
    }
  }

  #sample(worker: WorkerIndex, lagMs: number): void {
    this.#missed[worker] = 0;
    this.#matched[worker]!++;
    this.#lagMs[worker] = Math.max(lagMs, this.#lagMs[worker]! * fall);
  }
}
