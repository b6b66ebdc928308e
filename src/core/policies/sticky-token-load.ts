// llm-d's default policy since mid-2026: stays where most of the prompt is cached, unless prefill has piled up there.

import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';

export interface StickyTokenLoadOptions {
  /** A worker is warm if at least this share of the prompt is cached there. Default 0.8. */
  readonly warmMatchMin?: number;
  /**
   * Prefill tokens in flight by which the best warm worker may exceed the least loaded worker. Default 286,720: 20,480
   * tokens/s of peak prefill x 14 s of accepted delay.
   */
  readonly prefillGapTokensMax?: number;
}

/**
 * cost(w) = activePrefillTokens(w) + uncachedTokens(w). The lowest cost among the warm workers wins. The lowest among
 * all wins if none is warm, or if the best warm worker exceeds the least prefill in flight by more than the gap. Not
 * monotone, because these two thresholds overrule the cost. Source: llm-d sticky affinity + token load as of mid-2026;
 * its later defaults, 15,928 tokens/s x 18 s, make a gap of 286,704.
 */
export function stickyTokenLoad(options: StickyTokenLoadOptions = {}): Policy<null> {
  const { warmMatchMin = 0.8, prefillGapTokensMax = 286_720 } = options;
  return {
    name: 'sticky-token-load',
    monotone: false,
    usesOverlap: true,
    init: () => null,
    choose(request, candidates, random): Choice {
      const { count, cost, activePrefillTokens, uncachedTokens, overlapTokens } = candidates;
      const warmTokensMin = warmMatchMin * request.isl;
      let leastPrefill = Number.POSITIVE_INFINITY;
      let warmest = -1;
      let equals = 0;
      for (let i = 0; i < count; i++) {
        cost[i] = activePrefillTokens[i]! + uncachedTokens[i]!;
        leastPrefill = Math.min(leastPrefill, activePrefillTokens[i]!);
        if (overlapTokens[i]! < warmTokensMin) continue;
        if (warmest < 0 || cost[i]! < cost[warmest]!) {
          warmest = i;
          equals = 1;
        } else if (cost[i] === cost[warmest] && random.below(++equals) === 0) {
          warmest = i;
        }
      }
      const stays = warmest >= 0 && activePrefillTokens[warmest]! - leastPrefill <= prefillGapTokensMax;
      return stays && count > 1 ? { position: warmest, reason: 'affinity' } : lowestCost(candidates, random);
    },
  };
}
