// In a burst of new prefixes, routers that know nothing of each other's requests choose the same workers.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, type Decision, type RouteRequest } from '../../../src/core/index.ts';
import { noLoad } from '../../../src/core/shared-load.ts';
import { announced, type Harness, promptOf, range, routerOf } from '../router-harness.ts';

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
      for (let worker = 0; worker < 8; worker++) router.applyKvEvent(worker, announced(range(0, 2000), 4), 0);
      return Array.from({ length: 12 }, (_, i) => {
        const from = 90_000 + i * 1000;
        return route([...range(0, 2000), ...range(from, from + newTokens)], {}, i).decision;
      });
    };
    const workers = (routersHeard: number): number[] => decisions(routersHeard, 200).map(({ worker }) => worker);
    expect(workers(3)).toEqual(workers(1));
    const agreed = decisions(3, 600).filter(({ reason }) => reason === 'agreed');
    expect(agreed.length).toBeGreaterThan(0);
    for (const { overlapTokens, bestOverlapTokens } of agreed) expect(overlapTokens).toBe(bestOverlapTokens);
  });

  describe('a prefix that only worker 0 holds, in a burst', () => {
    interface Situation {
      readonly routersHeard: number;
      /** Prefill of others that worker 0 has booked. */
      readonly prefillTokens: number;
      readonly gapMs?: number;
      readonly activeTokens?: number;
      readonly request?: Partial<RouteRequest>;
    }

    function decisionIn({ routersHeard, prefillTokens, gapMs = 1, activeTokens = 0, request }: Situation): Decision {
      const { router, route } = routerOf(8, { policy: createPolicy('foresee'), capacityBlocks: 100_000 });
      router.applyKvEvent(0, announced(range(0, 2000), 4), 0);
      router.shared.routersHeard = routersHeard;
      router.shared.change(0, noLoad, { ...noLoad, prefillTokens, activeTokens, runningRequests: 1 }, 0);
      route(range(50_000, 51_000), { excluded: new Set([0]) }, 0);
      return route(range(0, 2100), request, gapMs).decision;
    }

    it('is computed anew by one router, but not by one of several that would all do so', () => {
      const prefillTokens = 3000;
      expect(decisionIn({ routersHeard: 1, prefillTokens }).worker).not.toBe(0);
      expect(decisionIn({ routersHeard: 4, prefillTokens })).toMatchObject({ worker: 0, reason: 'agreed' });
    });

    it('is computed anew where there is room for the prompts of all routers', () => {
      // Room for 4 prompts on each of 7 workers.
      const prefillTokens = 9000;
      expect(decisionIn({ routersHeard: 4, prefillTokens }).worker).not.toBe(0);
      expect(decisionIn({ routersHeard: 8, prefillTokens })).toMatchObject({ worker: 0, reason: 'agreed' });
    });

    it('is left to the policy without a burst, for requests with an SLO or a session, and if the worker is full', () => {
      const situation = { routersHeard: 4, prefillTokens: 3000 };
      for (const one of [
        { ...situation, gapMs: 20 },
        { ...situation, request: { slo: { ttftMs: 1e9 } } },
        { ...situation, request: { affinity: { worker: 1, tokens: 1 } } },
        { ...situation, activeTokens: 4 * 95_000 },
      ]) {
        const decision = decisionIn(one);
        expect(decision.worker).not.toBe(0);
        expect(decision.reason).not.toBe('agreed');
      }
    });
  });

  it('never takes a worker that holds less than the chosen one, and changes nothing that is only shown', () => {
    const arrival = fc.record({ prefix: fc.nat(5), own: fc.nat(5), gapMs: fc.constantFrom(0, 1, 3, 12) });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 40 }), fc.integer({ min: 2, max: 8 }), (arrivals, routersHeard) => {
        const routers = [0, 1].map(() => {
          const harness = routerOf(4, { policy: createPolicy('foresee'), capacityBlocks: 100_000 });
          harness.router.shared.routersHeard = routersHeard;
          return harness;
        });
        let nowMs = 0;
        for (const { prefix, own, gapMs } of arrivals) {
          nowMs += gapMs;
          const from = 10_000 * (prefix + 1);
          const tokens = [...range(from, from + 800), ...range(from + 1000 * own, from + 1000 * own + 300)];
          const [shown, booked] = routers as [Harness, Harness];
          for (let i = 0; i < 3; i++) shown.router.choose({ prompts: [promptOf(tokens, 4)] }, nowMs);
          const [one, other] = [shown, booked].map(({ route }) => route(tokens, {}, nowMs).decision);
          expect(one!.worker).toBe(other!.worker);
          if (one!.reason === 'agreed') expect(one!.overlapTokens).toBe(one!.bestOverlapTokens);
        }
      }),
      { numRuns: 50 },
    );
  });
});
