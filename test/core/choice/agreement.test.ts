// In a burst of new prefixes, routers that know nothing of each other's requests choose the same workers.

import { describe, expect, it } from 'vitest';
import { createPolicy, type Decision } from '../../../src/core/index.ts';
import { type Harness, range, routerOf } from '../router-harness.ts';

/** Routers with equal workers, and what each decides for the same new prefixes in a burst. */
function decisionsOf(routersHeard: number, gapMs = 1): Decision[][] {
  return [1, 2].map((seed) => {
    const { router, route }: Harness = routerOf(8, { policy: createPolicy('foresee'), seed, capacityBlocks: 100_000 });
    router.shared.routersHeard = routersHeard;
    return Array.from({ length: 24 }, (_, i) => {
      return route(range(10_000 * (i + 1), 10_000 * (i + 1) + 1000), {}, i * gapMs).decision;
    });
  });
}

function agreeing([first, second]: Decision[][]): number {
  return first!.filter(({ worker }, i) => worker === second![i]!.worker).length;
}

describe('agreement of routers', () => {
  it('sends most new prefixes of a burst to the same worker, without crowding one', () => {
    const decisions = decisionsOf(2);
    // The first of a burst is drawn, and what is drawn differently once makes later loads different.
    expect(agreeing(decisions)).toBeGreaterThan(12);
    expect(agreeing(decisionsOf(1))).toBeLessThan(12);
    for (const own of decisions) {
      expect(own.some(({ reason }) => reason === 'agreed')).toBe(true);
      const counts = new Map<number, number>();
      for (const { worker } of own) counts.set(worker, (counts.get(worker) ?? 0) + 1);
      expect(Math.max(...counts.values())).toBeLessThanOrEqual(5);
    }
  });

  it('leaves every choice as it is without a burst, and without other routers', () => {
    for (const own of [...decisionsOf(1), ...decisionsOf(2, 20)]) {
      expect(own.every(({ reason }) => reason === 'cost' || reason === 'tie')).toBe(true);
    }
  });

  it('changes nothing for prompts with few new tokens, and takes none from all workers that hold its prefix', () => {
    const decisions = (routersHeard: number, newTokens: number): Decision[] => {
      const { router, route } = routerOf(8, { policy: createPolicy('foresee'), capacityBlocks: 100_000 });
      router.shared.routersHeard = routersHeard;
      return Array.from({ length: 12 }, (_, i) => {
        const from = 90_000 + i * 1000;
        return route([...range(0, 2000), ...range(from, from + (i === 0 ? 0 : newTokens))], {}, i).decision;
      });
    };
    const workers = (routersHeard: number): number[] => decisions(routersHeard, 200).map(({ worker }) => worker);
    expect(workers(3)).toEqual(workers(1));
    const agreed = decisions(3, 600).filter(({ reason }) => reason === 'agreed');
    expect(agreed.length).toBeGreaterThan(0);
    for (const { overlapTokens, bestOverlapTokens } of agreed) expect(overlapTokens).toBe(bestOverlapTokens);
  });
});
