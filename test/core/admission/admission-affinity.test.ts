// Affinity as a credit: it is a separate term, decides between equal workers, and is outweighed by larger terms.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { range, routerOf } from '../router-harness.ts';

describe('RouteRequest.affinity', () => {
  it('decides between otherwise equal workers', () => {
    for (const worker of [0, 1, 2]) {
      const { route } = routerOf(3);
      const { decision } = route(range(0, 40), { affinity: { worker, tokens: 1 } });
      expect([decision.worker, decision.reason]).toEqual([worker, 'cost']);
      const terms = decision.candidates().map(({ affinityTokens }) => affinityTokens);
      expect(terms).toEqual([0, 1, 2].map((other) => (other === worker ? 1 : 0)));
    }
  });

  it('subtracts exactly its tokens from the cost of its worker', () => {
    fc.assert(
      fc.property(
        fc.nat(2),
        fc.nat(5000),
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 }),
        (worker, tokens, before) => {
          const costs = (affinity?: { worker: number; tokens: number }): number[] => {
            const { route } = routerOf(3);
            for (const [i, isl] of before.entries()) route(range(1000 * i, 1000 * i + isl));
            const { decision } = route(range(0, 40), affinity === undefined ? {} : { affinity });
            const least = Math.min(...decision.candidates().map(({ cost }) => cost));
            expect(decision.candidates()[decision.worker]!.cost).toBe(least);
            return decision.candidates().map(({ cost }) => cost);
          };
          const without = costs();
          without[worker]! -= tokens;
          expect(costs({ worker, tokens })).toEqual(without);
        },
      ),
    );
  });

  it('is outweighed by a larger load', () => {
    const { route } = routerOf(2);
    const busy = route(range(0, 400), { affinity: { worker: 0, tokens: 1 } });
    expect(busy.decision.worker).toBe(0);
    expect(route(range(1000, 1040), { affinity: { worker: 0, tokens: 100 } }).decision.worker).toBe(1);
  });
});
