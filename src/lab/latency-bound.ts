// What no router can beat on this engine: a lower bound of the mean TTFT, an upper bound of the rate that N workers take.

import type { StepTime } from '../sim/index.ts';
import type { Workload } from '../trace/workload.ts';
import { EventQueue } from './event-queue.ts';
import { infiniteCacheTokens } from './hit-ceiling.ts';
import { engineOptions, type RunSpec } from './run-spec.ts';
import { type PrefillTiming, soloPrefillNs } from './slo.ts';

/** Least time that each unit of work takes, whatever shares its step with it. */
export interface WorkFloor {
  readonly msPerToken: number;
  readonly msPerPair: number;
  readonly msPerContextToken: number;
}

/** Measured on the step time itself, so that it holds for any profile whose steps cost at least linearly. */
export function workFloor({ stepTime, stepTokensMax }: PrefillTiming): WorkFloor {
  const idle = { prefillTokens: 0, prefillPairs: 0, decodeContextTokens: 0, sequences: 1, sampled: 0 };
  const baseMs = stepTime({ ...idle, tokens: 1 });
  let msPerToken = Number.POSITIVE_INFINITY;
  for (let tokens = 1; tokens <= stepTokensMax; tokens++) {
    msPerToken = Math.min(msPerToken, plainStepMs(stepTime, tokens) / tokens);
  }
  const many = 1e9;
  return {
    msPerToken,
    msPerPair: (stepTime({ ...idle, tokens: 1, prefillPairs: many }) - baseMs) / many,
    msPerContextToken: (stepTime({ ...idle, tokens: 1, decodeContextTokens: many }) - baseMs) / many,
  };
}

/** Prefill without attention. */
function plainStepMs(stepTime: StepTime, tokens: number): number {
  return stepTime({ tokens, prefillTokens: tokens, prefillPairs: 0, decodeContextTokens: 0, sequences: 1, sampled: 0 });
}

/** Milliseconds of compute of a prefill that finds `cachedTokens` of `isl` tokens. */
export function prefillWorkMs(floor: WorkFloor, isl: number, cachedTokens: number): number {
  const uncached = isl - cachedTokens;
  return uncached * floor.msPerToken + floor.msPerPair * uncached * (cachedTokens + uncached / 2);
}

/**
 * Lower bound of the mean TTFT of some requests, in milliseconds; NaN where there are none: the larger of
 * - each alone on an idle worker, with all cached that ever came before;
 * - all on one worker of N times the speed that always works on what has the least left (optimal for the sum of
 *   completion times on one machine, and pooling relaxes everything else). Only where arrivals don't depend on the
 *   outcome.
 * @param isCounted by index: the others are as if they had never come, which can only make the bound lower
 * @param cachedTokens by index, from an infinite cache
 */
export function ttftBoundMs(
  workload: Workload,
  isCounted: (index: number) => boolean,
  cachedTokens: Float64Array,
  workers: number,
  timing: PrefillTiming,
): number {
  const { requests } = workload;
  const floor = workFloor(timing);
  let aloneNs = 0;
  const jobs: Job[] = [];
  let openLoop = workload.concurrencyMax === undefined;
  for (const [index, { isl, arrivalMs, after }] of requests.entries()) {
    if (!isCounted(index)) continue;
    aloneNs += soloPrefillNs(timing, isl, cachedTokens[index]!);
    jobs.push({ arrivalMs, workMs: prefillWorkMs(floor, isl, cachedTokens[index]!) / workers });
    if (after !== undefined) openLoop = false;
  }
  const aloneMs = aloneNs / 1e6 / jobs.length;
  return openLoop ? Math.max(aloneMs, shortestRemainingFirstMs(jobs)) : aloneMs;
}

interface Job {
  readonly arrivalMs: number;
  readonly workMs: number;
}

/** Mean time from arrival to end under preemptive shortest remaining work. O(n log n) @param jobs in order of arrival */
export function shortestRemainingFirstMs(jobs: readonly Job[]): number {
  const waiting = new EventQueue<Job>();
  let nowMs = 0;
  let totalMs = 0;
  const workUntil = (untilMs: number): void => {
    while (waiting.size > 0 && nowMs < untilMs) {
      const leftMs = waiting.nextAt;
      const job = waiting.pop()!;
      if (nowMs + leftMs > untilMs) {
        waiting.push(leftMs - (untilMs - nowMs), 0, job);
        nowMs = untilMs;
      } else {
        nowMs += leftMs;
        totalMs += nowMs - job.arrivalMs;
      }
    }
    if (untilMs !== Number.POSITIVE_INFINITY) nowMs = Math.max(nowMs, untilMs);
  };
  for (const job of jobs) {
    workUntil(job.arrivalMs);
    waiting.push(job.workMs, 0, job);
  }
  workUntil(Number.POSITIVE_INFINITY);
  return totalMs / jobs.length;
}

/** `rateScaleBound` of a run. */
export function speedBound(workload: Workload, spec: RunSpec): number {
  return pooledSpeedBound([workload], spec);
}

/** By how much the arrivals of several workloads together could be sped up, each on a cluster of its own. */
export function pooledSpeedBound(workloads: readonly Workload[], spec: RunSpec): number {
  let spanMs = 0;
  let workMs = 0;
  for (const workload of workloads) {
    spanMs += arrivalSpanMs(workload);
    workMs += leastWorkMs(workload, infiniteCacheTokens(workload, spec.blockSize), engineOptions(spec));
  }
  return spanMs === 0 ? Number.POSITIVE_INFINITY : (spec.workers * spanMs) / workMs;
}

/**
 * By how much the arrivals could be sped up before the workers had more work than time, with every hit of an infinite
 * cache: an upper bound of stable rates. Infinite where all requests arrive at once. A run can beat it whose arrivals end
 * before its queue could grow, since the work that is left then has all the time it needs.
 */
export function rateScaleBound(
  workload: Workload,
  cachedTokens: Float64Array,
  workers: number,
  timing: PrefillTiming,
): number {
  const spanMs = arrivalSpanMs(workload);
  return spanMs === 0 ? Number.POSITIVE_INFINITY : (workers * spanMs) / leastWorkMs(workload, cachedTokens, timing);
}

function leastWorkMs(workload: Workload, cachedTokens: Float64Array, timing: PrefillTiming): number {
  const floor = workFloor(timing);
  let workMs = 0;
  for (const [index, { isl, osl }] of workload.requests.entries()) {
    const decodeMs = (isl + osl / 2) * floor.msPerContextToken + floor.msPerToken;
    workMs += prefillWorkMs(floor, isl, cachedTokens[index]!) + (osl - 1) * decodeMs;
  }
  return workMs;
}

function arrivalSpanMs({ requests }: Workload): number {
  return requests.at(-1)!.arrivalMs - requests[0]!.arrivalMs;
}
