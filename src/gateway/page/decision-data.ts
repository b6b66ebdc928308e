// What the page is told of choices: in short, and one in full.

import type { TrustState } from './fleet-data.ts';

/**
 * Predicted wrong. `cache`: fewer or more cached tokens than predicted, by more than a block and 5 % of the prompt.
 * `ttft`: the first token came more than 50 % and 100 ms off.
 */
export type Surprise = 'cache' | 'ttft' | 'both';

/** One choice, short. It comes again with the same `seq` when more is known. */
export interface DecisionShort {
  /** Counts the gateway's decisions. */
  readonly seq: number;
  readonly requestId: string;
  readonly timeMs: number;
  readonly model: string;
  readonly worker: string;
  /** Counts from 1; above 1: a retry. */
  readonly attempt: number;
  readonly reason: string;
  readonly candidates: number;
  readonly promptTokens: number;
  readonly predictedCachedTokens: number;
  readonly actualCachedTokens: number | null;
  /** From the choice to the first token. */
  readonly predictedTtftMs: number | null;
  readonly actualTtftMs: number | null;
  readonly outputTokens: number | null;
  readonly durationMs: number | null;
  /** Null while in flight. */
  readonly outcome: 'done' | 'failed' | 'aborted' | null;
  readonly surprise: Surprise | null;
}

export interface DecisionList {
  /** Newest first. */
  readonly decisions: readonly DecisionShort[];
  /** Decisions that the log holds, before filter and limit, and the most that it can hold. */
  readonly kept: number;
  readonly keptMax: number;
}

export interface DecisionInFull extends DecisionShort {
  readonly pool: string;
  readonly policy: string;
  readonly costUnit: string;
  /** Why this worker, in plain words: what it holds, what waits there, what the runner-up would have cost. */
  readonly why: string;
  /** Trust in the chosen worker's view at the time. */
  readonly trust: TrustState;
  /** `tokens`: the ids were known. `bytes`: cut from bytes. `beginning`: only the beginning was known. */
  readonly known: string;
  readonly slo: { readonly ttftMs?: number; readonly tpotMs?: number } | null;
  readonly predictedTpotMs: number | null;
  readonly actualPromptTokens: number | null;
  /** From the arrival of the request, the queue and tokenizing included. */
  readonly arrivalToFirstTokenMs: number | null;
  /** How much sooner the first token would have come from the worker that was best in hindsight. */
  readonly regretMs: number | null;
  readonly bestWorker: string | null;
  readonly account: TokenFates | null;
  readonly status: number | null;
  readonly error: string | null;
  readonly all: readonly CandidateState[];
}

export interface CandidateState {
  readonly worker: string;
  readonly chosen: boolean;
  /** In `costUnit`; the lowest wins. */
  readonly cost: number | null;
  /** `cost` over the lowest cost of all. 1: the lowest. */
  readonly relativeCost: number | null;
  /** The factors of the cost in the order of its formula; empty if the policy has none. */
  readonly terms: readonly CostTerm[];
  readonly overlapTokens: number;
  readonly uncachedTokens: number;
  /** Null: not predicted by this policy. */
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly backlogMs: number | null;
  readonly prefillMs: number | null;
  readonly activeBlocks: number;
  readonly newBlocks: number;
  readonly activePrefillTokens: number;
  readonly runningRequests: number;
  /** Share of the KV capacity in use with this request; null if the capacity is not known. */
  readonly kvUsage: number | null;
  readonly slowness: number | null;
}

/** One term of a cost. */
export interface CostTerm {
  /** Stable name. */
  readonly name: string;
  /** Label for people, such as `prefill queued`. */
  readonly label: string;
  /** Null: a term that is added. Else: a factor of all before it. */
  readonly kind: 'sum' | 'factor';
  readonly value: number;
  readonly unit: string;
}

/** Where prompt tokens went, in tokens. */
export interface TokenFates {
  readonly cachedTokens: number;
  /** Held by no candidate. */
  readonly workloadMissTokens: number;
  /** Held by another candidate. */
  readonly routingMissTokens: number;
  /** Promised by requests in flight, but not there in time. */
  readonly promiseMissTokens: number;
  /** In the router's index, but not in the engine's cache. */
  readonly indexMissTokens: number;
  /** In the engine's cache, but unknown to the router. */
  readonly surplusTokens: number;
}

export interface DecisionBatch {
  readonly decisions: readonly DecisionShort[];
  /** Choices since the last batch that are not in it, because there were too many. */
  readonly leftOut: number;
  readonly perS: number;
}
