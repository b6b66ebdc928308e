// Baseline policies without a cache index: round robin, random, fewest requests, power of two.

import type { Candidates } from '../choice/candidates.ts';
import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';
import type { WorkerIndex } from '../types.ts';

/** Each worker in turn, by worker index. Workers that may not be chosen are skipped. */
export function roundRobin(): Policy<{ next: WorkerIndex }> {
  return {
    name: 'round-robin',
    monotone: false,
    usesOverlap: false,
    init: () => ({ next: 0 }),
    choose(_request, candidates, _random, state): Choice {
      clearCosts(candidates);
      if (candidates.count === 1) return { position: 0, reason: 'only' };
      for (let i = 0; i < candidates.count; i++) {
        if (candidates.worker[i]! >= state.next) return { position: i, reason: 'turn' };
      }
      return { position: 0, reason: 'turn' };
    },
    onBooked(state, booking): void {
      state.next = booking.worker + 1;
    },
  };
}

/** Any worker, uniformly. */
export function randomPolicy(): Policy<null> {
  return {
    name: 'random',
    monotone: false,
    usesOverlap: false,
    init: () => null,
    choose(_request, candidates, random): Choice {
      clearCosts(candidates);
      if (candidates.count === 1) return { position: 0, reason: 'only' };
      return { position: random.below(candidates.count), reason: 'draw' };
    },
  };
}

/** The worker with the fewest requests in flight. Draws among equals. */
export function leastRequests(): Policy<null> {
  return {
    name: 'least-requests',
    monotone: true,
    usesOverlap: false,
    init: () => null,
    choose(_request, candidates, random): Choice {
      costByRequests(candidates);
      return lowestCost(candidates, random);
    },
  };
}

/** Draws two workers and takes the one with fewer requests in flight, or the first drawn if they are equal. */
export function powerOfTwo(): Policy<null> {
  return {
    name: 'power-of-two',
    monotone: true,
    usesOverlap: false,
    init: () => null,
    choose(_request, candidates, random): Choice {
      costByRequests(candidates);
      const { count, cost } = candidates;
      if (count === 1) return { position: 0, reason: 'only' };
      const first = random.below(count);
      const other = random.below(count - 1);
      const second = other < first ? other : other + 1;
      return { position: cost[first]! <= cost[second]! ? first : second, reason: 'draw' };
    },
  };
}

function clearCosts(candidates: Candidates): void {
  candidates.cost.fill(0, 0, candidates.count);
}

function costByRequests(candidates: Candidates): void {
  for (let i = 0; i < candidates.count; i++) candidates.cost[i] = candidates.runningRequests[i]!;
}
