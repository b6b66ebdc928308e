// LMetric policy: the prefill that a request would wait for, times the requests that it would delay.

import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';

/**
 * cost(w) = (activePrefillTokens(w) + uncachedTokens(w)) x (runningRequests(w) + 1). Source: arXiv 2603.15202, whose
 * batch size is taken as requests in flight plus this one, since an idle worker would otherwise cost 0. No constants.
 */
export function lmetric(): Policy<null> {
  return {
    name: 'lmetric',
    monotone: true,
    usesOverlap: true,
    bursts: 'plannable',
    init: () => null,
    choose(_request, candidates, random): Choice {
      const { cost, activePrefillTokens, uncachedTokens, runningRequests } = candidates;
      for (let i = 0; i < candidates.count; i++) {
        cost[i] = (activePrefillTokens[i]! + uncachedTokens[i]!) * (runningRequests[i]! + 1);
      }
      return lowestCost(candidates, random);
    },
  };
}
