// Late binding: holds a request while the worker that the policy chooses for it could not start it soon.
//
// A worker is full while at least two prompts, with more than `backlogMsMax` of prefill by the speed model, are queued
// there. So an engine always has a next prompt, however wrong the model is: if it underestimates the worker's speed,
// the queue there becomes short but not empty; if it overestimates it, requests are bound earlier than necessary. A
// request waits for the worker that the policy chooses, because another one would compute its prefix again.

import type { SpeedModel } from '../ledger/speed-model.ts';
import { Random } from '../random.ts';
import type { Held, RouteRequest, WorkerIndex } from '../types.ts';
import { asPlanned } from './burst-plan.ts';
import type { Placements } from './placements.ts';
import { type Policy, policyRequestOf } from './policy.ts';

export interface LateBindingOptions {
  /** Predicted prefill on a worker above which it gets no further request. Default 300. */
  readonly backlogMsMax?: number;
  /** For experiments: factor by which predicted times are too long. Default 1. */
  readonly wrongBy?: number;
}

export interface LateBindingParts {
  readonly placements: Placements;
  readonly speed: SpeedModel;
  readonly policy: Policy;
  readonly state: unknown;
  readonly seed: number;
}

export class LateBinding {
  readonly #parts: LateBindingParts;
  readonly #backlogMsMax: number;
  readonly #wrongBy: number;
  /** Separate from the router's, so that a held request has no effect on later choices. */
  readonly #random: Random;

  constructor(parts: LateBindingParts, { backlogMsMax = 300, wrongBy = 1 }: LateBindingOptions) {
    this.#parts = parts;
    this.#backlogMsMax = backlogMsMax;
    this.#wrongBy = wrongBy;
    this.#random = new Random(parts.seed);
  }

  /**
   * The candidates must be filled for the request. O(workers)
   * @param planned the worker that a plan assigns to it
   */
  hold(request: RouteRequest, planned: WorkerIndex | null, nowMs: number): Held | null {
    const { policy, state, placements } = this.#parts;
    const { candidates } = placements;
    const { count, keptWorkers } = candidates;
    let full = 0;
    for (let i = 0; i < count; i++) if (this.#isFull(i)) full++;
    if (full === 0) return null;
    if (full === count) return { kind: 'held', nearest: null, othersMayGo: false, keptWorkers };
    const choice = policy.choose(policyRequestOf(request, nowMs), candidates, this.#random, state);
    const { position } = planned === null ? choice : asPlanned(choice, candidates, planned);
    return this.#isFull(position) ? { kind: 'held', nearest: null, othersMayGo: true, keptWorkers } : null;
  }

  /** Shortest predicted prefill time of the request over all workers. 0 if there is no worker. */
  leastPrefillMs(request: RouteRequest, nowMs: number): number {
    const { placements } = this.#parts;
    placements.fill(request, nowMs);
    const { count, prefillMs } = placements.candidates;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) least = Math.min(least, prefillMs[i]!);
    return count === 0 ? 0 : least * this.#wrongBy;
  }

  #isFull(i: number): boolean {
    const { worker, backlogMs } = this.#parts.placements.candidates;
    return backlogMs[i]! * this.#wrongBy > this.#backlogMsMax && this.#parts.speed.queuesSeveral(worker[i]!);
  }
}
