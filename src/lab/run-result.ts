// Figures of one run as plain data. The same workload and spec give the same bytes.

import { imbalance } from '../report/imbalance.ts';
import { quantile, summarize } from '../report/summary.ts';
import { pooledLruHitRate } from '../trace/hit-ceilings.ts';
import type { Workload } from '../trace/workload.ts';
import { slowTimeOf } from './fleet.ts';
import { fleetKvTokens, fleetTiming } from './fleet-engines.ts';
import { infiniteCacheTokens } from './hit-ceiling.ts';
import { rateScaleBound, ttftBoundMs } from './latency-bound.ts';
import type { LoadSeriesData } from './load-series.ts';
import { type PredictionFigures, predictionFigures } from './prediction-figures.ts';
import type { RequestLog } from './request-log.ts';
import type { SharingFigures } from './router-network.ts';
import { orNull, rounded, type SummaryJson, summaryJson } from './run-figures.ts';
import { engineOptions, type RunSpec, type RunSpecJson, toJson } from './run-spec.ts';
import { firstMeasured } from './simulation.ts';
import type { SimulationResult } from './simulation-result.ts';
import { ttftLimitNs } from './slo.ts';
import { type SlowDownFigures, slowDownFigures, type TtftOverTime, ttftOverTime } from './ttft-over-time.ts';
import { type WorkerFigures, workerFigures } from './worker-figures.ts';

/** Missing values are null: latencies without requests, quantiles that fall on a failed request. */
export interface RunResult {
  readonly format: 'kvoyant-lab-run/3';
  readonly workload: {
    readonly name: string;
    /** From a trace: runs with other seeds replay the same requests and are not further samples. */
    readonly recorded: boolean;
    readonly requests: number;
    readonly islMean: number;
    readonly oslMean: number;
    /** Requests / span of the arrivals. Null if all arrive at once or in a closed loop. */
    readonly ratePerS: number | null;
    readonly concurrencyMax: number | null;
    readonly notes: readonly string[];
  };
  readonly spec: RunSpecJson;
  readonly measured: MeasuredFigures;
  /** The warm-up requests. */
  readonly coldStart: { readonly requests: number; readonly ttftMs: SummaryJson };
  /** Finished requests / time from the first arrival to the last token, warm-up and drain included. */
  readonly requestsPerS: number;
  readonly outputTokensPerS: number;
  readonly makespanS: number;
  readonly cache: CacheFigures;
  readonly bounds: {
    /** Lower bound of the mean TTFT of any policy that serves all measured requests on this engine. */
    readonly ttftMeanMs: number;
    /** The bound of the finished requests / their mean TTFT. 1 is the optimum. */
    readonly ttftReached: number | null;
    /** Upper bound of the stable speedup of the arrivals. Null if all arrive at once. */
    readonly rateScale: number | null;
  };
  readonly workers: {
    readonly prefillTokensMax: number;
    readonly prefillMaxOverMean: number;
    readonly preemptions: number;
    /** By worker index. */
    readonly each: readonly WorkerFigures[];
  };
  /** TTFT quantiles of the finished requests at 0, 1, .. 100 %. */
  readonly ttftQuantilesMs: readonly (number | null)[];
  /** TTFT sums over `ttftBlocksMax` stretches of the measured requests, for the intervals of paired ratios. */
  readonly ttftBlocks: { readonly sumMs: readonly number[]; readonly requests: readonly number[] };
  readonly ttftOverTime: TtftOverTime;
  /** Null: no TTFT was predicted. */
  readonly prediction: PredictionFigures | null;
  /** Null: no worker slowed down. */
  readonly slowDown: SlowDownFigures | null;
  /** Absent: one router, or routers that share nothing. */
  readonly sharing?: SharingFigures;
  readonly load: LoadSeriesData;
}

export interface MeasuredFigures {
  readonly requests: number;
  readonly failed: number;
  readonly good: number;
  readonly goodShare: number | null;
  /** Good requests / time from the first measured arrival to the last token. */
  readonly goodputPerS: number;
  /** Means are of the finished requests. In quantiles a failed request counts as infinite. */
  readonly ttftMs: SummaryJson;
  /** (E2E - TTFT) / (OSL - 1) of each request. */
  readonly tpotMs: SummaryJson;
  /** All gaps between neighbouring tokens. Quantiles are within 1 %. */
  readonly itlMs: SummaryJson;
  readonly e2eMs: SummaryJson;
}

/** Token-weighted shares over the finished requests of the run. Null if there are none. */
export interface CacheFigures {
  /** Prompt tokens that the engines took from their caches. */
  readonly hitRate: number | null;
  /** Hit rate predicted by the router at the choice. */
  readonly predictedHitRate: number | null;
  /** Hit rate of an infinite cache shared by all workers. */
  readonly ceiling: number | null;
  /** Hit rate of one LRU cache as large as all workers together. */
  readonly pooledLru: number | null;
  /** `hitRate` / `ceiling`. Null if the ceiling is 0. */
  readonly ceilingReached: number | null;
}

export const ttftBlocksMax = 32;

export function resultOf(workload: Workload, spec: RunSpec, simulated: SimulationResult): RunResult {
  const { log, engines } = simulated;
  const { requests } = workload;
  const first = firstMeasured(workload, spec);
  const reusableTokens = infiniteCacheTokens(workload, spec.blockSize);
  const { fastest, workers } = fleetTiming(spec);
  const measured = measure(workload, spec, log, first, simulated.endNs);
  const isMeasured = (index: number): boolean => index >= first;
  const isDone = (index: number): boolean => index >= first && log.isDone(index);
  const boundMs = ttftBoundMs(workload, isMeasured, reusableTokens, workers, fastest);
  const doneBoundMs = measured.failed === 0 ? boundMs : ttftBoundMs(workload, isDone, reusableTokens, workers, fastest);
  const rateScale = rateScaleBound(workload, reusableTokens, workers, fastest);
  const makespanS = Math.max(0, simulated.endNs - firstArrivalNs(log, 0)) / 1e9;
  let done = 0;
  let outputTokens = 0;
  for (const [index, { osl }] of requests.entries()) {
    if (!log.isDone(index)) continue;
    done++;
    outputTokens += osl;
  }
  const prefillTokens = engines.map((engine) => engine.counters.prefillTokens);
  const spread = imbalance(prefillTokens);
  const spanS = (requests.at(-1)!.arrivalMs - requests[0]!.arrivalMs) / 1000;
  const isOpen = workload.concurrencyMax === undefined && spanS > 0;
  const coldTtfts = columnMs(log, 0, first, (index) => log.ttftMs(index));
  return {
    format: 'kvoyant-lab-run/3',
    workload: {
      name: workload.name,
      recorded: workload.recorded ?? false,
      requests: requests.length,
      islMean: rounded(mean(requests, ({ isl }) => isl)),
      oslMean: rounded(mean(requests, ({ osl }) => osl)),
      ratePerS: isOpen ? rounded(requests.length / spanS) : null,
      concurrencyMax: workload.concurrencyMax ?? null,
      notes: workload.notes,
    },
    spec: toJson(spec),
    measured,
    coldStart: { requests: first, ttftMs: summaryJson(summarize(coldTtfts)) },
    requestsPerS: perS(done, makespanS),
    outputTokensPerS: perS(outputTokens, makespanS),
    makespanS: rounded(makespanS),
    cache: cacheFigures(workload, spec, log, reusableTokens),
    bounds: {
      ttftMeanMs: rounded(boundMs),
      ttftReached: orNull(doneBoundMs / (measured.ttftMs.mean ?? Number.NaN)),
      rateScale: isOpen ? rounded(rateScale) : null,
    },
    workers: {
      prefillTokensMax: spread.max,
      prefillMaxOverMean: rounded(spread.maxOverMean),
      preemptions: engines.reduce((count, engine) => count + engine.counters.preemptions, 0),
      each: workerFigures(spec, log, engines, first),
    },
    ttftQuantilesMs: quantilesMs(columnMs(log, first, requests.length, (index) => log.ttftMs(index))),
    ttftBlocks: ttftBlocks(log, first),
    ttftOverTime: ttftOverTime(log, first),
    prediction: predictionFigures(log, first),
    slowDown: slowDownFigures(log, first, slowTimeOf(workload, spec.fleet?.slowDown)),
    ...(simulated.sharing === null ? {} : { sharing: simulated.sharing }),
    load: simulated.load.data(),
  };
}

/** Number of good measured requests. */
export function countGood(workload: Workload, spec: RunSpec, log: RequestLog): number {
  const timing = engineOptions(spec);
  let good = 0;
  for (let index = firstMeasured(workload, spec); index < log.count; index++) {
    if (!log.isDone(index)) continue;
    const { isl, osl } = workload.requests[index]!;
    const inTime = log.ttftMs(index) * 1e6 <= ttftLimitNs(spec.slo, timing, isl);
    if (inTime && !(log.tpotMs(index, osl) > spec.slo.tpotMs)) good++;
  }
  return good;
}

function measure(workload: Workload, spec: RunSpec, log: RequestLog, first: number, endNs: number): MeasuredFigures {
  const { requests } = workload;
  const count = requests.length - first;
  const ttfts = columnMs(log, first, requests.length, (index) => log.ttftMs(index));
  const e2es = columnMs(log, first, requests.length, (index) => log.e2eMs(index));
  const tpots = columnMs(log, first, requests.length, (index) => log.tpotMs(index, requests[index]!.osl));
  const failed = count - ttfts.length;
  const good = countGood(workload, spec, log);
  const { gapsMs } = log;
  return {
    requests: count,
    failed,
    good,
    goodShare: orNull(good / count),
    goodputPerS: perS(good, (endNs - firstArrivalNs(log, first)) / 1e9),
    ttftMs: withFailures(ttfts, failed),
    tpotMs: summaryJson(summarize(tpots)),
    itlMs: summaryJson({ mean: gapsMs.mean, p50: gapsMs.quantile(0.5), p99: gapsMs.quantile(0.99) }),
    e2eMs: withFailures(e2es, failed),
  };
}

function cacheFigures(workload: Workload, spec: RunSpec, log: RequestLog, reusableTokens: Float64Array): CacheFigures {
  let isl = 0;
  let cached = 0;
  let predicted = 0;
  let reusable = 0;
  for (const [index, request] of workload.requests.entries()) {
    if (!log.isDone(index)) continue;
    isl += request.isl;
    cached += log.cachedTokens[index]!;
    predicted += log.predictedTokens[index]!;
    reusable += reusableTokens[index]!;
  }
  return {
    hitRate: orNull(cached / isl),
    predictedHitRate: orNull(predicted / isl),
    ceiling: orNull(reusable / isl),
    // Content blocks may be smaller than the engine's, so limit it to the ceiling.
    pooledLru: orNull(Math.min(pooledLruHitRate(workload, fleetKvTokens(spec)), reusable / isl)),
    ceilingReached: orNull(cached / reusable),
  };
}

/** Values of the finished requests that have one. */
function columnMs(log: RequestLog, from: number, to: number, of: (index: number) => number): Float64Array {
  const values: number[] = [];
  for (let index = from; index < to; index++) {
    if (!log.isDone(index)) continue;
    const value = of(index);
    if (!Number.isNaN(value)) values.push(value);
  }
  return Float64Array.from(values);
}

function withFailures(values: Float64Array, failed: number): SummaryJson {
  const all = new Float64Array(values.length + failed).fill(Number.POSITIVE_INFINITY);
  all.set(values);
  return summaryJson({ ...summarize(all), mean: summarize(values).mean });
}

function quantilesMs(values: Float64Array): (number | null)[] {
  const sorted = values.slice().sort();
  return Array.from({ length: 101 }, (_, percent) => orNull(quantile(sorted, percent / 100)));
}

function ttftBlocks(log: RequestLog, first: number): RunResult['ttftBlocks'] {
  const blocks = Math.min(ttftBlocksMax, log.count - first);
  const sumMs = new Array<number>(blocks).fill(0);
  const counts = new Array<number>(blocks).fill(0);
  for (let index = first; index < log.count; index++) {
    if (!log.isDone(index)) continue;
    const block = Math.floor(((index - first) * blocks) / (log.count - first));
    sumMs[block]! += log.ttftMs(index);
    counts[block]!++;
  }
  return { sumMs: sumMs.map(rounded), requests: counts };
}

function firstArrivalNs(log: RequestLog, from: number): number {
  let first = Number.POSITIVE_INFINITY;
  for (let index = from; index < log.count; index++) {
    if (log.arrivalNs[index]! < first) first = log.arrivalNs[index]!;
  }
  return first;
}

function mean<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0) / items.length;
}

/** Count per second. 0 if the count is 0, even in no time. */
function perS(count: number, seconds: number): number {
  return count === 0 ? 0 : rounded(count / seconds);
}
