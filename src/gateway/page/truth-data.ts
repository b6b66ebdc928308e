// What the page is told of predictions: predicted against actual cached tokens and TTFT, and faults found.

import type { TokenFates } from './decision-data.ts';
import type { Finding, TrustState, TrustSummary } from './fleet-data.ts';
import type { Span } from './history-data.ts';

export interface Truth {
  readonly span: Span;
  readonly stepMs: number;
  readonly endMs: number;
  /** One point a step, oldest first; null: no request ended in it. */
  readonly promptTokens: readonly (number | null)[];
  readonly predictedCachedTokens: readonly (number | null)[];
  readonly actualCachedTokens: readonly (number | null)[];
  /** Prompt tokens that were not found in the cache, by kind; they are described at `TokenFates`. */
  readonly misses: Readonly<
    Record<
      'workloadMissTokens' | 'routingMissTokens' | 'promiseMissTokens' | 'indexMissTokens',
      readonly (number | null)[]
    >
  >;
  /** Mean of |predicted - actual| / actual TTFT, and of (predicted - actual) / actual. */
  readonly ttftErrorShare: readonly (number | null)[];
  readonly ttftBiasShare: readonly (number | null)[];
  /** Since the start. */
  readonly totals: TruthTotals;
  /** Of each worker since it joined. */
  readonly workers: readonly WorkerTruth[];
  /** The worst first. Empty: nothing was found. */
  readonly findings: readonly Finding[];
  /** One sentence: can the router's view be trusted, and why. */
  readonly verdict: TrustSummary;
}

export interface TruthTotals extends TokenFates {
  /** Requests whose cached tokens could be compared. */
  readonly requests: number;
  readonly promptTokens: number;
  readonly predictedCachedTokens: number;
  /** Predictions that were exact, promised too many tokens, or too few. */
  readonly exact: number;
  readonly over: number;
  readonly under: number;
  /** Prompts whose tokens the engine counted differently. */
  readonly tokenMismatches: number;
  readonly ttftRequests: number;
  readonly ttftErrorShare: number | null;
  readonly ttftBiasShare: number | null;
  /** Mean regret of the choices, in hindsight. */
  readonly regretMs: number | null;
}

export interface WorkerTruth extends TokenFates {
  readonly worker: string;
  readonly trust: TrustState;
  readonly canary: CanaryState | null;
  readonly exact: number;
  readonly over: number;
  readonly under: number;
  readonly tokenMismatches: number;
  readonly ttftErrorShare: number | null;
  readonly ttftBiasShare: number | null;
}

export interface CanaryState {
  readonly timeMs: number;
  readonly state: 'sound' | 'faulty' | 'off' | 'inconclusive';
  /** What it has proved, in words. */
  readonly proofs: readonly string[];
  readonly reason: string | null;
}
