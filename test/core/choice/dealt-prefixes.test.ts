// Routers that plan parts of the same burst send a new prefix to the same workers, and every worker its share.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, type RouteRequest, Router } from '../../../src/core/index.ts';
import { Random } from '../../../src/core/random.ts';
import { promptOf, range } from '../router-harness.ts';

const blockSize = 16;
const prefixTokens = 1024;
const ownTokens = 64;

/** One request of each number: its prefix. */
function burstOf(prefixes: readonly number[], from = 0): RouteRequest[] {
  return prefixes.map((prefix, i) => {
    const shared = range(10_000 * (prefix + 1), 10_000 * (prefix + 1) + prefixTokens);
    const own = range(10_000_000 + (from + i) * ownTokens, 10_000_000 + (from + i + 1) * ownTokens);
    return { prompts: [promptOf([...shared, ...own], blockSize)] };
  });
}

interface Fleet {
  readonly ids: readonly string[];
  readonly seed?: number;
  readonly routersHeard?: number;
}

function routerOf({ ids, seed = 1, routersHeard = 4 }: Fleet): Router {
  const router = new Router({ policy: createPolicy('foresee'), seed });
  for (const id of ids) router.addWorker({ id, blockSize, capacityBlocks: 100_000, source: 'events' });
  router.shared.routersHeard = routersHeard;
  return router;
}

/** For each prefix the ids of its workers. */
function plannedBy(router: Router, prefixes: readonly number[], from = 0): Map<number, Set<string>> {
  const workers = new Map<number, Set<string>>();
  for (const { index, worker } of router.plan(burstOf(prefixes, from), 0)) {
    const prefix = prefixes[index]!;
    const ids = workers.get(prefix) ?? new Set();
    workers.set(prefix, ids.add(router.load(worker!).id));
  }
  return workers;
}

const idsOf = (count: number): string[] => range(0, count).map((i) => `http://10.0.0.${i + 1}:8000#0`);

describe('prefixes dealt to workers', () => {
  it('go to the same worker from every router, whatever the order of requests and workers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.array(fc.nat(15), { minLength: 1, maxLength: 60 }),
        fc.nat(),
        (count, prefixes, seed) => {
          const ids = idsOf(count);
          const random = new Random(seed);
          const shuffled = <T>(items: readonly T[]): T[] =>
            items
              .map((item) => ({ item, key: random.float() }))
              .toSorted((a, b) => a.key - b.key)
              .map(({ item }) => item);
          const one = plannedBy(routerOf({ ids }), prefixes);
          const other = plannedBy(routerOf({ ids: shuffled(ids), seed }), shuffled(prefixes));
          for (const [prefix, workers] of one) {
            if (workers.size === 1 && other.get(prefix)!.size === 1) expect(other.get(prefix)).toEqual(workers);
          }
        },
      ),
      { numRuns: 60, examples: [[4, [5, 5, 5, 5, 0, 1], 633078656]] },
    );
  });

  it('are computed once or little more by four routers that have a quarter of a burst each', () => {
    const random = new Random(3);
    const burst = range(0, 1024).map((i) => ({ prefix: i % 64, router: Math.floor(4 * random.float()) }));
    const all = new Map<number, Set<string>>();
    const ofWorker = new Map<string, number>();
    for (const which of range(0, 4)) {
      const prefixes = burst.filter(({ router }) => router === which).map(({ prefix }) => prefix);
      for (const [prefix, ids] of plannedBy(routerOf({ ids: idsOf(8), seed: which }), prefixes, 1024 * which)) {
        all.set(prefix, new Set([...(all.get(prefix) ?? []), ...ids]));
      }
    }
    for (const id of [...all.values()].flatMap((ids) => [...ids])) ofWorker.set(id, (ofWorker.get(id) ?? 0) + 1);
    const copies = [...ofWorker.values()].reduce((sum, count) => sum + count, 0);
    expect(copies).toBeLessThan(64 * 1.15);
    expect(Math.max(...ofWorker.values())).toBeLessThanOrEqual(11);
  });

  it('are dealt to several workers if they have more work than a share, which then all have some of it', () => {
    const planned = plannedBy(
      routerOf({ ids: idsOf(8) }),
      range(0, 256).map((i) => i % 2),
    );
    for (const workers of planned.values()) expect(workers.size).toBe(4);
    expect(new Set([...planned.get(0)!, ...planned.get(1)!]).size).toBe(8);
  });

  it('do not go where much is booked already', () => {
    const ids = idsOf(4);
    const router = routerOf({ ids });
    for (const i of range(0, 20)) {
      const prompt = promptOf(range(50_000_000 + i * 4000, 50_000_000 + (i + 1) * 4000), blockSize);
      router.route({ prompts: [prompt], excluded: new Set([1, 2, 3]) }, 0);
    }
    for (const workers of plannedBy(router, range(0, 12)).values()) expect(workers.has(ids[0]!)).toBe(false);
  });

  it('leave requests that exclude workers to the policy', () => {
    const ids = idsOf(4);
    const router = routerOf({ ids });
    const excluded = new Set([0]);
    const requests = burstOf(range(0, 24).map((i) => i % 6)).map((request, i) =>
      i >= 6 && i < 18 ? { ...request, excluded } : request,
    );
    const plan = router.plan(requests, 0);
    expect(plan.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(range(0, 24));
    for (const { index, worker } of plan) if (index >= 6 && index < 18) expect(worker).not.toBe(0);
  });

  it('are left to the policy while no other router is heard', () => {
    const planned = range(0, 2).map((seed) =>
      plannedBy(routerOf({ ids: idsOf(8), seed, routersHeard: 1 }), range(0, 32)),
    );
    const alike = [...planned[0]!].filter(([prefix, ids]) => [...ids][0] === [...planned[1]!.get(prefix)!][0]);
    expect(alike.length).toBeLessThan(16);
  });
});
