// How a policy's mean TTFT compares with another's on the very same requests, with a bootstrap interval.

import { Random } from '../core/random.ts';
import { quantile } from '../report/summary.ts';
import type { RunResult } from './run-result.ts';

export interface PairedRatio {
  /** Mean TTFT of the policy over that of the reference, over all seeds: below 1 the policy is faster. */
  readonly ratio: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
}

export const resamples = 2000;

/**
 * Both ran the same requests with the same seeds, so stretches of neighbouring arrivals are drawn in pairs, within each
 * seed: what makes a stretch hard for one makes it hard for the other. Intervals say nothing about other seeds.
 * @param policy one run a seed @param reference the same seeds in the same order
 * @returns null where either has no request that ended
 */
export function pairedTtftRatio(policy: readonly RunResult[], reference: readonly RunResult[]): PairedRatio | null {
  const own = policy.map(({ ttftBlocks }) => ttftBlocks);
  const other = reference.map(({ ttftBlocks }) => ttftBlocks);
  const point = ratioOf(
    own,
    other,
    own.map(({ sumMs }) => sumMs.map((_, block) => block)),
  );
  if (!Number.isFinite(point)) return null;
  const random = new Random(1);
  const ratios = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    const drawn = own.map(({ sumMs }) => sumMs.map(() => random.below(sumMs.length)));
    ratios[i] = ratioOf(own, other, drawn);
  }
  ratios.sort();
  return { ratio: point, low: quantile(ratios, 0.025), high: quantile(ratios, 0.975) };
}

type Blocks = RunResult['ttftBlocks'];

/** @param drawn by seed, the stretches that count */
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
