// Statistics of a workload: lengths, arrivals, sharing, and the highest possible hit rates.

import { infiniteCacheHitRate, pooledLruHitRate } from './hit-ceilings.ts';
import type { Workload } from './workload.ts';

export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Coefficient of variation: standard deviation / mean. */
  readonly cv: number;
}

export interface WorkloadStatistics {
  readonly requests: number;
  /** Conversations or agent runs. 0 if the requests have no sessions. */
  readonly sessions: number;
  /** Requests that wait for the end of an earlier one. */
  readonly closedLoopRequests: number;
  readonly islTokens: Spread;
  readonly oslTokens: Spread;
  /** Gaps between requests in order of arrival; for a closed loop, as the source saw them. All NaN for one request. */
  readonly interArrivalMs: Spread;
  /** From the first to the last arrival. */
  readonly spanMs: number;
  /** NaN if all requests arrive at once. */
  readonly ratePerS: number;
  readonly contentBlockTokens: number;
  readonly promptTokens: number;
  /** Prompt tokens that no earlier request had. */
  readonly uniqueTokens: number;
  readonly infiniteCacheHitRate: number;
  /** The same for the second half of the requests, without the cold start. */
  readonly infiniteCacheHitRateSecondHalf: number;
  readonly pooledLruHitRate: number;
}

/** @param pooledTokens KV capacity of all workers together */
export function workloadStatistics(workload: Workload, pooledTokens: number): WorkloadStatistics {
  const { requests, contentBlockTokens } = workload;
  const arrivalsMs = requests.map(({ arrivalMs }) => arrivalMs);
  const spanMs = arrivalsMs.at(-1)! - arrivalsMs[0]!;
  const promptTokens = requests.reduce((sum, { isl }) => sum + isl, 0);
  const hitRate = infiniteCacheHitRate(workload);
  return {
    requests: requests.length,
    sessions: new Set(requests.flatMap(({ session }) => session ?? [])).size,
    closedLoopRequests: requests.filter(({ after }) => after !== undefined).length,
    islTokens: spreadOf(requests.map(({ isl }) => isl)),
    oslTokens: spreadOf(requests.map(({ osl }) => osl)),
    interArrivalMs: spreadOf(arrivalsMs.slice(1).map((arrivalMs, i) => arrivalMs - arrivalsMs[i]!)),
    spanMs,
    ratePerS: spanMs === 0 ? Number.NaN : (1000 * (requests.length - 1)) / spanMs,
    contentBlockTokens,
    promptTokens,
    uniqueTokens: Math.round(promptTokens * (1 - hitRate)),
    infiniteCacheHitRate: hitRate,
    infiniteCacheHitRateSecondHalf: infiniteCacheHitRate(workload, Math.floor(requests.length / 2)),
    pooledLruHitRate: pooledLruHitRate(workload, pooledTokens),
  };
}

/** Quantiles by nearest rank. All NaN without samples. */
export function spreadOf(samples: readonly number[]): Spread {
  const count = samples.length;
  const sorted = Float64Array.from(samples).sort();
  const quantile = (q: number): number => sorted[Math.max(1, Math.ceil(q * count)) - 1] ?? Number.NaN;
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / count;
  const variance = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / count;
  return { mean, p50: quantile(0.5), p99: quantile(0.99), max: quantile(1), cv: Math.sqrt(variance) / mean };
}
