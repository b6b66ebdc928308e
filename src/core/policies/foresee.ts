// Foresee policy: predicted milliseconds of prefill, times the blocks in use on the worker.

import type { Candidates } from '../choice/candidates.ts';
import type { Choice, Policy } from '../choice/policy.ts';
import type { Random } from '../random.ts';
import type { RequestSlo } from '../types.ts';

/** Terms can be turned off to measure their effect. All are on by default. */
export interface ForeseeOptions {
  /** Factor q of the recent prefill work. */
  readonly share?: 'on' | 'off';
  /** Factor 1 + rho of the request's own prefill. */
  readonly backlogWeight?: 'on' | 'off';
  /** Factor of the active and new blocks. */
  readonly blocks?: 'on' | 'off';
  /** Requests in flight, counted with the blocks. */
  readonly requests?: 'on' | 'off';
  /** Divisor g while the KV cache fills up. */
  readonly capacity?: 'on' | 'off';
  /** Factor sqrt(s). */
  readonly slowness?: 'on' | 'off';
}

/** Tokens of one block in the cost, independent of the workers' block sizes. */
const costBlockTokens = 16;
/** rho grows by this for each second of mean backlog, up to the maximum. */
const backlogWeightPerS = 4;
const backlogWeightMax = 16;
/** A request in flight counts as this share of the new request's prompt: each one slows every step down. */
const requestShare = 0.3;
/** Share of free KV below which the cost of a worker rises, and its lower bound. */
const freeKvShare = 0.1;
const freeKvMin = 0.05;
/** Costs within this share of the lowest are near-ties. */
const nearTieShare = 0.01;

/**
 * cost(w), in ms x blocks of 16 tokens =
 *   [backlogMs(w) + (1 + rho) x q(w) x prefillMs(w)] x (blocks(w) + 1) / g(w) x sqrt(s(w))
 *
 * rho: 4 x the mean backlog of the candidates in seconds, at most 16. q: prefill share. blocks: active and new blocks, and
 * 0.3 x ISL for each request in flight, in blocks of 16 tokens. g = clamp((1 - kvUsage) / 0.1, 0.05, 1). s: slowness;
 * backlogMs and prefillMs have it as a factor already. `overlapWeight` of the request multiplies 1 + rho; `affinityTokens` are subtracted as so many tokens of
 * prefill. Lowest wins. Among costs within 1 % of the lowest the fewest requests in flight win, and equals are drawn. If
 * the request has an SLO, the choice is among the candidates that are predicted to meet it, unless there is none.
 */
export function foresee(options: ForeseeOptions = {}): Policy<null> {
  const withShare = options.share !== 'off';
  const withBacklogWeight = options.backlogWeight !== 'off';
  const withBlocks = options.blocks !== 'off';
  const requestWeight = options.requests === 'off' ? 0 : requestShare;
  const withCapacity = options.capacity !== 'off';
  const withSlowness = options.slowness !== 'off';
  return {
    name: 'foresee',
    monotone: true,
    usesOverlap: true,
    usesSpeed: true,
    bursts: 'planned',
    init: () => null,
    choose({ isl, slo, overlapWeight = 1 }, candidates, random): Choice {
      const { count, cost, backlogMs, prefillMs, prefillShare, slowness, kvUsage } = candidates;
      const { activeBlocks, newBlocks, blockSize, runningRequests, uncachedTokens, affinityTokens } = candidates;
      let backlogSumMs = 0;
      for (let i = 0; i < count; i++) backlogSumMs += backlogMs[i]!;
      const rho = withBacklogWeight ? Math.min(backlogWeightMax, (backlogWeightPerS * backlogSumMs) / count / 1000) : 0;
      const weight = overlapWeight * (1 + rho);
      for (let i = 0; i < count; i++) {
        const share = withShare ? prefillShare[i]! : 1;
        let one = backlogMs[i]! + weight * share * prefillMs[i]!;
        if (affinityTokens[i]! > 0) {
          one = Math.max(0, one - (affinityTokens[i]! / Math.max(1, uncachedTokens[i]!)) * prefillMs[i]!);
        }
        if (withBlocks) {
          const tokens = (activeBlocks[i]! + newBlocks[i]!) * blockSize[i]! + requestWeight * runningRequests[i]! * isl;
          one *= tokens / costBlockTokens + 1;
        }
        if (withCapacity) one /= Math.max(freeKvMin, Math.min(1, (1 - kvUsage[i]!) / freeKvShare));
        if (withSlowness) one *= Math.sqrt(slowness[i]!);
        // A worker whose terms are no numbers must not stop the choice.
        cost[i] = Number.isNaN(one) ? Number.POSITIVE_INFINITY : one;
      }
      if (count === 1) return { position: 0, reason: 'only' };
      const choice = fewestOfLowest(candidates, undefined, random);
      if (slo === undefined || (choice && meets(candidates, choice.position, slo))) return choice!;
      const meeting = fewestOfLowest(candidates, slo, random);
      return meeting === null ? choice! : { position: meeting.position, reason: 'slo' };
    },
  };
}

/** @param slo candidates that are predicted to miss it are skipped. @returns null if all are */
function fewestOfLowest(candidates: Candidates, slo: RequestSlo | undefined, random: Random): Choice | null {
  const { count, cost, runningRequests } = candidates;
  let lowest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    if (cost[i]! < lowest && (slo === undefined || meets(candidates, i, slo))) lowest = cost[i]!;
  }
  const bound = lowest * (1 + nearTieShare);
  let position = -1;
  let near = 0;
  let equals = 0;
  for (let i = 0; i < count; i++) {
    if (!(cost[i]! <= bound) || (slo !== undefined && !meets(candidates, i, slo))) continue;
    near++;
    const more = position < 0 ? -1 : runningRequests[i]! - runningRequests[position]!;
    if (more > 0) continue;
    if (more < 0) {
      position = i;
      equals = 1;
    } else if (random.below(++equals) === 0) {
      position = i;
    }
  }
  return position < 0 ? null : { position, reason: near === 1 ? 'cost' : 'tie' };
}

function meets({ ttftMs, tpotMs }: Candidates, i: number, slo: RequestSlo): boolean {
  return (
    ttftMs[i]! <= (slo.ttftMs ?? Number.POSITIVE_INFINITY) && tpotMs[i]! <= (slo.tpotMs ?? Number.POSITIVE_INFINITY)
  );
}
