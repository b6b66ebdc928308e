// Ratio of two policies' mean TTFT on the same requests, with a bootstrap interval.

import { Random } from '../core/random.ts';
import { quantile } from '../report/summary.ts';
import type { RunResult } from './run-result.ts';

export interface PairedRatio {
  /** Mean TTFT of the policy / that of the reference, over all seeds. Below 1 the policy is faster. */
  readonly ratio: number;
  /** 95 % interval. Null if too few requests ended. */
  readonly interval: { readonly low: number; readonly high: number } | null;
}

export const resamples = 2000;

/**
 * Paired block bootstrap. Both policies ran the same requests with the same seeds, and a hard stretch is hard for both,
 * so stretches of neighbouring arrivals are drawn in pairs. Generated requests are drawn within each seed. The seeds of
 * a trace replay the same requests, so they share one draw: repeating a sample does not make it larger.
 * @param policy one run per seed @param reference runs with the same seeds in the same order
 * @returns null if one of them has no finished request
 */
export function pairedTtftRatio(policy: readonly RunResult[], reference: readonly RunResult[]): PairedRatio | null {
  const own = policy.map(({ ttftBlocks }) => ttftBlocks);
  const other = reference.map(({ ttftBlocks }) => ttftBlocks);
  const point = meanTtftRatio(policy, reference);
  if (!Number.isFinite(point)) return null;
  const stretches = own.reduce((sum, { sumMs }) => sum + sumMs.length, 0);
  if (stretches < stretchesMin) return { ratio: point, interval: null };
  const isOneSample = policy.every(({ workload }) => workload.recorded);
  const random = new Random(1);
  const ratios: number[] = [];
  for (let i = 0; i < resamples; i++) {
    const draw = ({ sumMs }: Blocks): number[] => sumMs.map(() => random.below(sumMs.length));
    const first = draw(own[0]!);
    const drawn = own.map((blocks, seed) => (seed === 0 || isOneSample ? first : draw(blocks)));
    const ratio = ratioOf(own, other, drawn);
    if (Number.isFinite(ratio)) ratios.push(ratio);
  }
  if (ratios.length < resamples * drawsKnownMin) return { ratio: point, interval: null };
  const sorted = Float64Array.from(ratios).sort();
  return { ratio: point, interval: { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) } };
}

/** The ratio without interval. Not finite if one of them has no finished request. */
export function meanTtftRatio(policy: readonly RunResult[], reference: readonly RunResult[]): number {
  const own = policy.map(({ ttftBlocks }) => ttftBlocks);
  const other = reference.map(({ ttftBlocks }) => ttftBlocks);
  const every = own.map(({ sumMs }) => sumMs.map((_, block) => block));
  return ratioOf(own, other, every);
}

/** With fewer stretches too few draws differ. */
const stretchesMin = 8;

/** Share of the draws that must contain requests of both policies for an interval to be given. */
const drawsKnownMin = 0.99;

type Blocks = RunResult['ttftBlocks'];

/** @param drawn stretches to count, by seed */
function ratioOf(own: readonly Blocks[], other: readonly Blocks[], drawn: readonly (readonly number[])[]): number {
  return meanOf(own, drawn) / meanOf(other, drawn);
}

function meanOf(seeds: readonly Blocks[], drawn: readonly (readonly number[])[]): number {
  let sumMs = 0;
  let requests = 0;
  for (const [seed, blocks] of seeds.entries()) {
    for (const block of drawn[seed]!) {
      sumMs += blocks.sumMs[block]!;
      requests += blocks.requests[block]!;
    }
  }
  return sumMs / requests;
}
