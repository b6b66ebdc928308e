// Dynamo policy: the cost of NVIDIA Dynamo 1.6 with its defaults (prefill in flight and new - overlap + blocks held).

import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';

export interface DynamoOptions {
  /** Blocks of prefill that one overlap block subtracts. Default 1. */
  readonly overlapCredit?: number;
  /** Weight of the prefill term. Default 1. */
  readonly prefillScale?: number;
  /** Blocks added per request in flight. Default 0. */
  readonly activeRequestWeight?: number;
}

/**
 * cost(w), in blocks = prefillScale x max(0, (activePrefillTokens(w) + ISL) / blockSize - overlapCredit x overlapBlocks(w))
 *                    + active prompt blocks(w) + new prompt blocks(w) + activeRequestWeight x runningRequests(w)
 * The lowest wins; equals are drawn.
 *
 * Source: ai-dynamo/dynamo 1.6.x, default selector, temperature 0, credit decay 0, one memory tier. Output blocks are
 * not tracked, so only full prompt blocks count as active.
 */
export function dynamo(options: DynamoOptions = {}): Policy<null> {
  const { overlapCredit = 1, prefillScale = 1, activeRequestWeight = 0 } = options;
  return {
    name: 'dynamo',
    monotone: true,
    usesOverlap: true,
    bursts: 'plannable',
    init: () => null,
    choose(request, candidates, random): Choice {
      const { cost, blockSize, overlapBlocks, activePrefillTokens, runningRequests } = candidates;
      const { activeBlocks, ownBlocks, newBlocks, newOwnBlocks } = candidates;
      for (let i = 0; i < candidates.count; i++) {
        const rawPrefill = (activePrefillTokens[i]! + request.isl) / blockSize[i]!;
        const prefill = Math.max(0, rawPrefill - overlapCredit * overlapBlocks[i]!);
        const decode = activeBlocks[i]! - ownBlocks[i]! + newBlocks[i]! - newOwnBlocks[i]!;
        cost[i] = prefillScale * prefill + decode + activeRequestWeight * runningRequests[i]!;
      }
      return lowestCost(candidates, random);
    },
  };
}
