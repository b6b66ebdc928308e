// What the runs of all seeds at one rate say together: is the SLO met, and would it stay so in a longer run?

import type { ProbeHalf, ProbeResult } from './lab-job.ts';

export interface PooledProbe {
  /** Of the workload's own arrivals. */
  readonly speed: number;
  readonly verdict: ProbeVerdict;
  /** Of the measured requests of all seeds; null: a run was stopped when too many had missed the SLO. */
  readonly goodShare: number | null;
  readonly ttftMeanMs: number | null;
  /** Time over which the measured requests arrive, over their mean E2E. */
  readonly spanOverE2e: number | null;
  /** E2E for each output token, second half of the measured requests over the first half. */
  readonly slowdown: number | null;
  /** In one run, those that warm up included. */
  readonly requests: number;
}

/**
 * `missed`: the SLO is not met. `slows`: it is met, but answers take longer and longer. `short`: it is met, but the
 * arrivals end before a queue could show. `good`: it is met, and a longer run would say the same.
 * `over-bound`: not tried, since no policy can last there.
 */
export type ProbeVerdict = 'missed' | 'slows' | 'short' | 'good' | 'over-bound';

/** Share of good requests that meets the SLO. */
export const goodShareMin = 0.95;

/** Arrivals over fewer E2E times than this tell nothing of a longer run. */
export const spanOverE2eMin = 10;

/** A queue that grows from nothing triples from half to half; what is left of it beside a steady load is this. */
export const slowdownMax = 1.25;

/** Misses that one run can have before the pool is lost. @param measured of one run @param runs in the pool */
export function missesMax(measured: number, runs: number): number {
  return Math.floor(measured * runs * (1 - goodShareMin) + 1e-9);
}

/** @param probes one a seed, at the same speed */
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

/** What is known without a run to its end. */
export function lostProbe(speed: number, requests: number, verdict: 'missed' | 'over-bound' = 'missed'): PooledProbe {
  return { speed, requests, verdict, goodShare: null, ttftMeanMs: null, spanOverE2e: null, slowdown: null };
}
