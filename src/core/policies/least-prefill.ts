// The policies that look at prefill alone: least prefill work, and its control that looks at the prefix only.

import type { Candidates } from '../choice/candidates.ts';
import type { Choice, Policy } from '../choice/policy.ts';
import { lowestThenFewest } from './lowest-then-fewest.ts';

/**
 * Least prefill work left: cost(w) = activePrefillTokens(w) + uncachedTokens(w), then the fewest requests in flight.
 * Own delay only; no decode term, no constants. A prompt that is wholly cached counts as one token: engines compute it.
 */
export function leastPrefillWork(): Policy<null> {
  return prefillPolicy('lpwl', (candidates) => {
    const { cost, activePrefillTokens, uncachedTokens } = candidates;
    for (let i = 0; i < candidates.count; i++) cost[i] = activePrefillTokens[i]! + uncachedTokens[i]!;
  });
}

/**
 * Longest prefix: cost(w) = uncachedTokens(w), then the fewest requests in flight. A control, not for traffic: without
 * a load term a prefix that all requests share keeps them all on one worker.
 */
export function maxPrefix(): Policy<null> {
  return prefillPolicy('max-prefix', ({ count, cost, uncachedTokens }) => {
    for (let i = 0; i < count; i++) cost[i] = uncachedTokens[i]!;
  });
}

function prefillPolicy(name: string, fillCosts: (candidates: Candidates) => void): Policy<null> {
  return {
    name,
    monotone: true,
    usesOverlap: true,
    init: () => null,
    choose(_request, candidates, random): Choice {
      fillCosts(candidates);
      return lowestThenFewest(candidates, random);
    },
  };
}
