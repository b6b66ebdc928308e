// The contract of a routing policy: a pure choice among candidates.

import type { Candidates } from './candidates.ts';
import type { Random } from './random.ts';
import type { DecisionReason, WorkerIndex } from './types.ts';

/** What of a request may bear on the choice beside the candidates' columns. */
export interface PolicyRequest {
  readonly isl: number;
  /** Overrides of this request; undefined: the policy's own. */
  readonly overlapWeight: number | undefined;
  readonly temperature: number | undefined;
}

export interface Choice {
  /** Position in the candidates' columns. */
  readonly position: number;
  readonly reason: DecisionReason;
}

/**
 * `choose` has no effect but for the `cost` column and the draws from `random`: the same columns, state and random
 * state give the same choice. State changes only in `onBooked`, which the router calls in the same synchronous step.
 */
export interface Policy<S = unknown> {
  readonly name: string;
  /**
   * With all other columns fixed and temperature 0, one more overlap block never raises a worker's cost, and one more
   * active block, active prefill token or running request never lowers it.
   */
  readonly monotone: boolean;
  /** Whether the router has to keep a prefix index for it. */
  readonly usesOverlap: boolean;
  init(): S;
  /** @param candidates at least one */
  choose(request: PolicyRequest, candidates: Candidates, random: Random, state: S): Choice;
  onBooked?(state: S, worker: WorkerIndex): void;
}

/** The position with the lowest cost, drawn uniformly among equals. */
export function lowestCost(candidates: Candidates, random: Random): Choice {
  if (candidates.count === 1) return { position: 0, reason: 'only' };
  const cost = candidates.cost;
  let lowest = cost[0]!;
  let position = 0;
  let equals = 1;
  for (let i = 1; i < candidates.count; i++) {
    const one = cost[i]!;
    if (one > lowest) continue;
    if (one < lowest) {
      lowest = one;
      position = i;
      equals = 1;
    } else if (random.below(++equals) === 0) {
      position = i;
    }
  }
  return { position, reason: equals === 1 ? 'cost' : 'tie' };
}
