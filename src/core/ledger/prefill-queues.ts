// Queues of the prefill booked on each worker and not computed yet, in order of booking.

import type { WorkerIndex } from '../types.ts';
import { attendedPairs } from './prefill-model.ts';

/** A booked prompt, linked to its neighbours in the queue of its worker. */
export interface QueuedPrefill {
  readonly worker: WorkerIndex;
  readonly order: number;
  readonly isl: number;
  readonly uncachedTokens: number;
  prefillPairs: number;
  queued: boolean;
  ahead: QueuedPrefill | null;
  behind: QueuedPrefill | null;
}

/** Sums and heads by worker. Every call is O(1); the sums are integers or halves, and zero when nothing is queued. */
export class PrefillQueues {
  readonly tokens: number[] = [];
  readonly pairs: number[] = [];
  readonly heads: (QueuedPrefill | null)[] = [];
  readonly #tails: (QueuedPrefill | null)[] = [];
  /** Time at which the head became the head, or the worker last computed a prompt. */
  readonly sinceMs: number[] = [];

  /** Call when a worker is added or returns; its queue must be empty. */
  reset(worker: WorkerIndex): void {
    this.tokens[worker] = 0;
    this.pairs[worker] = 0;
    this.heads[worker] = null;
    this.#tails[worker] = null;
    this.sinceMs[worker] = 0;
  }

  push(prefill: QueuedPrefill, nowMs: number): void {
    const { worker } = prefill;
    prefill.prefillPairs = attendedPairs(prefill.uncachedTokens, prefill.isl - prefill.uncachedTokens);
    prefill.queued = true;
    const tail = this.#tails[worker]!;
    prefill.ahead = tail;
    if (tail) tail.behind = prefill;
    else this.heads[worker] = prefill;
    if (!tail) this.sinceMs[worker] = nowMs;
    this.#tails[worker] = prefill;
    this.tokens[worker]! += prefill.uncachedTokens;
    this.pairs[worker]! += prefill.prefillPairs;
  }

  /** @returns whether it was queued */
  remove(prefill: QueuedPrefill, nowMs: number): boolean {
    if (!prefill.queued) return false;
    const { worker, ahead, behind } = prefill;
    if (ahead) ahead.behind = behind;
    else this.heads[worker] = behind;
    if (!ahead) this.sinceMs[worker] = nowMs;
    if (behind) behind.ahead = ahead;
    else this.#tails[worker] = ahead;
    this.tokens[worker]! -= prefill.uncachedTokens;
    this.pairs[worker]! -= prefill.prefillPairs;
    if (!this.heads[worker]) {
      this.tokens[worker] = 0;
      this.pairs[worker] = 0;
    }
    prefill.queued = false;
    prefill.ahead = null;
    prefill.behind = null;
    return true;
  }
}
