// Verdict over the runs of all seeds at one rate: is the SLO met, and would it be met in a longer run?

import type { ProbeHalf, ProbeResult } from './lab-job.ts';

export interface PooledProbe {
  /** Speedup of the workload's own arrivals. */
  readonly speed: number;
  readonly verdict: ProbeVerdict;
  /** Share of good requests over all seeds. Null if a run was stopped because too many missed the SLO. */
  readonly goodShare: number | null;
  readonly ttftMeanMs: number | null;
  /** Span of the measured arrivals / mean E2E. */
  readonly spanOverE2e: number | null;
  /** E2E per output token: second half of the measured requests / first half. */
  readonly slowdown: number | null;
  /** Requests of one run, warm-up included. */
  readonly requests: number;
}

/**
 * `missed`: the SLO is not met. `slows`: it is met, but answers become slower and slower. `short`: it is met, but the
 * run is too short for a queue to show. `good`: it is met, and would be in a longer run. `over-bound`: not tried,
 * because no policy can sustain this rate.
 */
export type ProbeVerdict = 'missed' | 'slows' | 'short' | 'good' | 'over-bound';

/** Share of good requests that meets the SLO. */
export const goodShareMin = 0.95;

/** A run with a smaller span / E2E says nothing about a longer run. */
export const spanOverE2eMin = 10;

/**
 * Limit of `slowdown`. A queue that grows from 0 triples E2E from the first to the second half; beside a steady load
 * less of it remains.
 */
export const slowdownMax = 1.25;

/**
 * Misses of one run after which the SLO cannot be met. @param measured measured requests per run @param runs number of
 * runs
 */
export function missesMax(measured: number, runs: number): number {
  return Math.floor(measured * runs * (1 - goodShareMin) + 1e-9);
}

/** @param probes one per seed, at the same speed */
export function poolProbes(probes: readonly ProbeResult[]): PooledProbe {
  const speed = probes[0]!.speed;
  const { requests } = probes[0]!;
  const total = (of: (probe: ProbeResult) => number): number => probes.reduce((sum, probe) => sum + of(probe), 0);
  const goodShare = total(({ good }) => good) / total(({ measured }) => measured);
  const lost = lostProbe(speed, requests);
  if (probes.some(({ stoppedEarly }) => stoppedEarly)) return lost;
  const sum = (half: 0 | 1): ProbeHalf => ({
    e2eMs: total(({ halves }) => halves[half].e2eMs),
    outputTokens: total(({ halves }) => halves[half].outputTokens),
    done: total(({ halves }) => halves[half].done),
  });
  const [first, second] = [sum(0), sum(1)];
  const done = first.done + second.done;
  if (goodShare < goodShareMin || done === 0) return { ...lost, goodShare };
  const spanOverE2e = total(({ spanMs }) => spanMs) / probes.length / ((first.e2eMs + second.e2eMs) / done);
  // A half without an answer can't be compared: the run is too short to tell.
  const isComparable = first.outputTokens > 0 && second.outputTokens > 0 && first.e2eMs > 0;
  const slowdown = isComparable ? second.e2eMs / second.outputTokens / (first.e2eMs / first.outputTokens) : null;
  let verdict: ProbeVerdict = 'good';
  if (slowdown !== null && slowdown > slowdownMax) verdict = 'slows';
  else if (slowdown === null || !(spanOverE2e >= spanOverE2eMin)) verdict = 'short';
  return {
    speed,
    requests,
    verdict,
    goodShare,
    ttftMeanMs: total(({ ttftSumMs }) => ttftSumMs) / done,
    spanOverE2e,
    slowdown,
  };
}

/** The verdict on a rate that was not run to its end. */
export function lostProbe(speed: number, requests: number, verdict: 'missed' | 'over-bound' = 'missed'): PooledProbe {
  return { speed, requests, verdict, goodShare: null, ttftMeanMs: null, spanOverE2e: null, slowdown: null };
}
