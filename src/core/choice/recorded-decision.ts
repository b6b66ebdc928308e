// A decision with a copy of every candidate's cost terms.

import type { CandidateCost, Decision, DecisionReason, WorkerIndex } from '../types.ts';
import { type Candidates, expand } from './candidates.ts';

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
  readonly #rows: Float64Array;

  constructor(policy: string, reason: DecisionReason, isl: number, candidates: Candidates, position: number) {
    this.policy = policy;
    this.reason = reason;
    this.isl = isl;
    this.worker = candidates.worker[position]!;
    this.overlapTokens = candidates.overlapTokens[position]!;
    this.overlapBlocks = candidates.overlapBlocks[position]!;
    this.promisedBlocks = candidates.promisedBlocks[position]!;
    this.bestOverlapTokens = candidates.bestOverlapTokens();
    this.uncachedTokens = candidates.uncachedTokens[position]!;
    this.#rows = candidates.copy();
  }

  candidates(): CandidateCost[] {
    return expand(this.#rows);
  }
}
