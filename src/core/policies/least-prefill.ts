// Policies that look at prefill only: least prefill work, and longest prefix as its control.

import type { Candidates } from '../choice/candidates.ts';
import type { Choice, Policy } from '../choice/policy.ts';
import { lowestThenFewest } from './lowest-then-fewest.ts';

/**
 * Least prefill work left: cost(w) = activePrefillTokens(w) + uncachedTokens(w), then the fewest requests in flight.
 * Considers only the request's own delay: no decode term, no constants. A prompt that is cached completely counts as
 * one token, which engines compute.
 */
export function leastPrefillWork(): Policy<null> {
  return prefillPolicy('lpwl', (candidates) => {
    const { cost, activePrefillTokens, uncachedTokens } = candidates;
    for (let i = 0; i < candidates.count; i++) cost[i] = activePrefillTokens[i]! + uncachedTokens[i]!;
  });
}

/**
 * Longest prefix: cost(w) = uncachedTokens(w), then the fewest requests in flight. A control, not for production:
 * without a load term, a prefix shared by all requests keeps them all on one worker.
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
