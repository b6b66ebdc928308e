// Choice by lowest cost, then by fewest requests in flight.

import type { Candidates } from '../choice/candidates.ts';
import type { Choice } from '../choice/policy.ts';
import type { Random } from '../random.ts';

/** The candidate with the lowest (cost, running requests), drawn uniformly among equals. */
export function lowestThenFewest(candidates: Candidates, random: Random): Choice {
  const { count, cost, runningRequests } = candidates;
  if (count === 1) return { position: 0, reason: 'only' };
  let position = 0;
  let equals = 1;
  for (let i = 1; i < count; i++) {
    const difference = cost[i]! - cost[position]! || runningRequests[i]! - runningRequests[position]!;
    if (difference > 0) continue;
    if (difference < 0) {
      position = i;
      equals = 1;
    } else if (random.below(++equals) === 0) {
      position = i;
    }
  }
  return { position, reason: equals === 1 ? 'cost' : 'tie' };
}
