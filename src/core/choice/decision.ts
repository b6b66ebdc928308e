// A routing decision: the chosen worker, why, what is predicted, and a copy of every candidate's cost terms.

import type { Booking, WorkerIndex } from '../types.ts';
import { type CandidateCost, type Candidates, expand } from './candidates.ts';

/**
 * Why this worker was chosen. `cost`: it alone had the lowest cost. `tie`: drawn among several with the lowest cost.
 * `only`: there was no other candidate. `temperature`: drawn by temperature. `turn`: round robin. `draw`: drawn without
 * comparing all costs (random, power of two). `affinity`: a rule that precedes the cost assigns the prompt's prefix to
 * it. `slo`: the worker with the lowest cost is predicted to miss the request's SLO, and this one to meet it.
 * `agreed`: several costs are nearly the lowest, and other routers would take this worker too (see agreement.ts).
 * `joint`: a plan for requests that arrived together chose this worker instead of the policy's own choice.
 */
export type DecisionReason =
  | 'cost'
  | 'tie'
  | 'only'
  | 'temperature'
  | 'turn'
  | 'draw'
  | 'affinity'
  | 'slo'
  | 'agreed'
  | 'joint';

export interface Decision {
  readonly policy: string;
  readonly worker: WorkerIndex;
  readonly reason: DecisionReason;
  /** Overlap of the chosen worker, before this request was booked. */
  readonly overlapTokens: number;
  readonly overlapBlocks: number;
  /** The part of `overlapBlocks` that requests in flight contain, announced or not. */
  readonly promisedBlocks: number;
  /** The highest `overlapTokens` of any candidate. */
  readonly bestOverlapTokens: number;
  /**
   * Prompt tokens that the chosen worker has to compute. More than 0 even for a cached prompt: engines recompute its
   * last block.
   */
  readonly uncachedTokens: number;
  readonly isl: number;
  /** Predicted time from the decision to the first token. Null if the router predicts none. */
  readonly predictedTtftMs: number | null;
  /** Predicted time per output token after the first. Null if the router predicts none. */
  readonly predictedTpotMs: number | null;
  /** Predicted time in which the chosen worker computes the prompt tokens that it has not cached. */
  readonly predictedPrefillMs: number;
  readonly candidateCount: number;
  /** Workers that were no candidates because they are kept free for other tenants. */
  readonly keptWorkers: number;
  /** All candidates in order of worker index. Built on each call. */
  candidates(): CandidateCost[];
}

export interface Routed {
  readonly kind: 'routed';
  readonly decision: Decision;
  /** One for each prompt, in order. */
  readonly bookings: readonly Booking[];
}

export class RecordedDecision implements Decision {
  readonly policy: string;
  readonly worker: WorkerIndex;
  readonly reason: DecisionReason;
  readonly overlapTokens: number;
  readonly overlapBlocks: number;
  readonly promisedBlocks: number;
  readonly bestOverlapTokens: number;
  readonly uncachedTokens: number;
  readonly isl: number;
  readonly predictedTtftMs: number | null;
  readonly predictedTpotMs: number | null;
  readonly predictedPrefillMs: number;
  readonly candidateCount: number;
  readonly keptWorkers: number;
  readonly #rows: Float64Array;

  constructor(policy: string, reason: DecisionReason, isl: number, candidates: Candidates, position: number) {
    this.policy = policy;
    this.reason = reason;
    this.isl = isl;
    // From a column of doubles to an integer, as every column of workers has them: arrays of both kinds are slower.
    this.worker = candidates.worker[position]! | 0;
    this.overlapTokens = candidates.overlapTokens[position]!;
    this.overlapBlocks = candidates.overlapBlocks[position]!;
    this.promisedBlocks = candidates.promisedBlocks[position]!;
    this.bestOverlapTokens = candidates.bestOverlapTokens();
    this.uncachedTokens = candidates.uncachedTokens[position]!;
    // No prediction is 0 ms: every prompt has a token to compute.
    this.predictedTtftMs = candidates.ttftMs[position]! || null;
    this.predictedTpotMs = candidates.tpotMs[position]! || null;
    this.predictedPrefillMs = candidates.prefillMs[position]!;
    this.#rows = candidates.copy();
    this.candidateCount = candidates.count;
    this.keptWorkers = candidates.keptWorkers;
  }

  candidates(): CandidateCost[] {
    return expand(this.#rows, this.candidateCount);
  }
}
