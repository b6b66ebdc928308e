// Bounds for every router on a given engine: lower bound of the mean TTFT, upper bound of the rate of N workers.

import type { StepTime } from '../sim/index.ts';
import type { Workload } from '../trace/workload.ts';
import { EventQueue } from './event-queue.ts';
import { fleetTiming } from './fleet-engines.ts';
import { infiniteCacheTokens } from './hit-ceiling.ts';
import type { RunSpec } from './run-spec.ts';
import { type PrefillTiming, soloPrefillNs } from './slo.ts';

/** Least time per unit of work, whatever else is in the step. */
export interface WorkFloor {
  readonly msPerToken: number;
  readonly msPerPair: number;
  readonly msPerContextToken: number;
}

/** Most output tokens for which one reading of the context suffices. */
const tokensPerStep = ({ speculation }: PrefillTiming): number => 1 + (speculation?.draftTokens ?? 0);

/** Measured on the step time function, so it holds for any profile with at least linear cost. */
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

/** Time of a prefill step without attention. */
function plainStepMs(stepTime: StepTime, tokens: number): number {
  return stepTime({ tokens, prefillTokens: tokens, prefillPairs: 0, decodeContextTokens: 0, sequences: 1, sampled: 0 });
}

/** Compute time in milliseconds of a prefill with `cachedTokens` of `isl` tokens cached. */
export function prefillWorkMs(floor: WorkFloor, isl: number, cachedTokens: number): number {
  const uncached = isl - cachedTokens;
  return uncached * floor.msPerToken + floor.msPerPair * uncached * (cachedTokens + uncached / 2);
}

/**
 * Lower bound of the mean TTFT of the counted requests, in milliseconds; NaN if there are none. The larger of - each
 * request alone on an idle worker, with everything cached that came before; - all requests on one worker of N times the
 * speed that always runs the request with the least remaining work. This is optimal for the sum of completion times on
 * one machine, and pooling only relaxes the problem. Used only if arrivals don't depend on the outcome.
 * @param isCounted by index; other requests are ignored, which can only lower the bound
 * @param cachedTokens by index, from an infinite cache @param workers of the speed of `timing`, a fraction in a mixed
 * fleet
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

/**
 * Mean time from arrival to end under preemptive shortest-remaining-work scheduling. O(n log n) @param jobs in order of
 * arrival
 */
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

/** Highest speedup of the arrivals of several workloads together, each on its own cluster. */
export function pooledSpeedBound(workloads: readonly Workload[], spec: RunSpec): number {
  const { fastest, workers } = fleetTiming(spec);
  let spanMs = 0;
  let workMs = 0;
  for (const workload of workloads) {
    spanMs += arrivalSpanMs(workload);
    workMs += leastWorkMs(workload, infiniteCacheTokens(workload, spec.blockSize), fastest);
  }
  return spanMs === 0 ? Number.POSITIVE_INFINITY : (workers * spanMs) / workMs;
}

/**
 * Highest speedup of the arrivals at which the workers' time still suffices for the work, with all hits of an infinite
 * cache: an upper bound of stable rates. Infinite if all requests arrive at once. A short run may exceed it, because
 * its arrivals end before the queue grows and the remaining work has time afterwards.
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
  const perStep = tokensPerStep(timing);
  let workMs = 0;
  for (const [index, { isl, osl }] of workload.requests.entries()) {
    const decodeMs = ((isl + osl / 2) * floor.msPerContextToken) / perStep + floor.msPerToken;
    workMs += prefillWorkMs(floor, isl, cachedTokens[index]!) + (osl - 1) * decodeMs;
  }
  return workMs;
}

function arrivalSpanMs({ requests }: Workload): number {
  return requests.at(-1)!.arrivalMs - requests[0]!.arrivalMs;
}
