// Interface of a routing policy: a pure choice among candidates.

import type { Random } from '../random.ts';
import type { Prompt, RequestSlo, RouteRequest, WorkerIndex } from '../types.ts';
import type { Candidates } from './candidates.ts';
import type { DecisionReason } from './decision.ts';

/** Request fields a policy may use besides the candidate columns. */
export interface PolicyRequest {
  readonly nowMs: number;
  /** Tokens of all prompts of the request. */
  readonly isl: number;
  readonly prompts: readonly Prompt[];
  /** Overrides for this request. Undefined: the policy's own value. */
  readonly overlapWeight: number | undefined;
  readonly temperature: number | undefined;
  /** Undefined: the client asks for none. */
  readonly slo?: RequestSlo | undefined;
}

export interface Choice {
  /** Row of the chosen candidate. */
  readonly position: number;
  readonly reason: DecisionReason;
}

/** One prompt in flight, as policies with state see it. */
export interface PolicyBooking {
  readonly worker: WorkerIndex;
  /** Sequence number of the booking, unique over the router's life. */
  readonly order: number;
  readonly isl: number;
  /** Prompt tokens that the worker had to compute, as predicted at the choice. */
  readonly uncachedTokens: number;
  readonly bookedMs: number;
  /** Output tokens of each sequence so far. */
  readonly outputTokens: readonly number[];
}

/**
 * `choose` writes only the `cost` column and draws only from `random`: the same columns, state and random state give
 * the same choice. The state changes only in the `on...` calls. The router makes them in the same synchronous step as
 * the change itself: once per prompt when it is booked, at its first token, and when it is released.
 */
export interface Policy<S = unknown> {
  readonly name: string;
  /**
   * With all other columns fixed and temperature 0, one more overlap block never raises a worker's cost, and one more
   * active block, active prefill token or running request never lowers it.
   */
  readonly monotone: boolean;
  /** Whether the policy needs the prefix index. */
  readonly usesOverlap: boolean;
  /** Whether the policy reads the columns of the speed model, from `prefillMs` on. Default false. */
  readonly usesSpeed?: boolean;
  /**
   * Whether requests that arrive together are planned together (see burst-plan.ts). The cost must then be a function of
   * the candidates' columns. `planned`: always. `plannable`: only if the router's option `joint` is on, since the cost
   * is another router's formula. Default: they are routed one after the other.
   */
  readonly bursts?: 'planned' | 'plannable';
  init(): S;
  /** @param candidates at least one */
  choose(request: PolicyRequest, candidates: Candidates, random: Random, state: S): Choice;
  onBooked?(state: S, booking: PolicyBooking, request: PolicyRequest): void;
  onFirstToken?(state: S, booking: PolicyBooking, nowMs: number): void;
  onReleased?(state: S, booking: PolicyBooking): void;
  /** Called after all bookings of the worker were released. */
  onWorkerRemoved?(state: S, worker: WorkerIndex): void;
}

export function policyRequestOf(
  { prompts, overlapWeight, temperature, slo }: RouteRequest,
  nowMs: number,
): PolicyRequest {
  let isl = 0;
  for (const prompt of prompts) isl += prompt.isl;
  return { nowMs, isl, prompts, overlapWeight, temperature, slo };
}

/** The candidate with the lowest cost, drawn uniformly among equals. */
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
