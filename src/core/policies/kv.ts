// KV policy: cost = prefill tokens to compute + blocks to hold. From Dynamo PR #1731, prefill term of PR #1895.

import type { Candidates } from '../choice/candidates.ts';
import { type Choice, lowestCost, type Policy, type PolicyRequest } from '../choice/policy.ts';
import type { Random } from '../random.ts';

export interface KvOptions {
  /** Weight of the prefill term. 0 drops the term, and no index is kept. Default 1. */
  readonly overlapWeight?: number;
  /** 0: the lowest cost wins. Above 0: drawn, see `drawByTemperature`. Default 0. */
  readonly temperature?: number;
  /** `1895` counts prefill that is already booked on the worker, `1731` does not. Default `1895`. */
  readonly form?: '1895' | '1731';
}

/**
 * cost(w) = overlapWeight x (activePrefillTokens(w) + uncachedTokens(w))
 *         + (activeBlocks(w) + newBlocks(w)) x blockSize(w) - affinityTokens(w)
 * In tokens, so that workers with different block sizes are comparable. Form `1731` omits `activePrefillTokens`.
 */
export function kv(options: KvOptions = {}): Policy<null> {
  const { overlapWeight = 1, temperature = 0, form = '1895' } = options;
  return {
    name: 'kv',
    monotone: true,
    usesOverlap: overlapWeight > 0,
    ...(overlapWeight > 0 && temperature === 0 && { bursts: 'plannable' }),
    init: () => null,
    choose(request: PolicyRequest, candidates: Candidates, random: Random): Choice {
      const weight = request.overlapWeight ?? overlapWeight;
      const { cost, uncachedTokens, activePrefillTokens, activeBlocks, newBlocks, blockSize, affinityTokens } =
        candidates;
      for (let i = 0; i < candidates.count; i++) {
        const prefill = uncachedTokens[i]! + (form === '1895' ? activePrefillTokens[i]! : 0);
        cost[i] = weight * prefill + (activeBlocks[i]! + newBlocks[i]!) * blockSize[i]! - affinityTokens[i]!;
      }
      const heat = request.temperature ?? temperature;
      return heat > 0 ? drawByTemperature(candidates, heat, random) : lowestCost(candidates, random);
    },
  };
}

/**
 * p(w) proportional to exp(-cost(w) / (max - min) / temperature). Dynamo divides by the range too: a spread of one
 * block and one of a thousand give the same odds.
 */
function drawByTemperature(candidates: Candidates, temperature: number, random: Random): Choice {
  const { cost, count } = candidates;
  if (count === 1) return { position: 0, reason: 'only' };
  let least = cost[0]!;
  let most = least;
  for (let i = 1; i < count; i++) {
    least = Math.min(least, cost[i]!);
    most = Math.max(most, cost[i]!);
  }
  if (most === least) return { position: random.below(count), reason: 'temperature' };
  const scale = -1 / ((most - least) * temperature);
  let total = 0;
  for (let i = 0; i < count; i++) total += Math.exp((cost[i]! - least) * scale);
  let rest = random.float() * total;
  for (let i = 0; i < count; i++) {
    rest -= Math.exp((cost[i]! - least) * scale);
    if (rest < 0) return { position: i, reason: 'temperature' };
  }
  return { position: count - 1, reason: 'temperature' };
}
