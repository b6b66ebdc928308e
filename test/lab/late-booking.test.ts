// A router that counts a load only when told: not before, and only once.

import { describe, expect, it } from 'vitest';
import { BlockHasher, createPolicy, Router } from '../../src/core/index.ts';

const hasher = new BlockHasher();

function routerOf(policy: 'kv' | 'what-if'): Router {
  const router = new Router({ policy: createPolicy(policy), seed: 1, bookAt: 'told' });
  router.addWorker({ id: 'a', blockSize: 4, capacityBlocks: 100, source: 'events' });
  return router;
}

function route(router: Router, nowMs: number): number {
  const tokens = Uint32Array.from({ length: 10 }, (_, at) => at);
  const routed = router.route({ prompts: [{ isl: 10, hashes: [hasher.hash(tokens, 4)] }] }, nowMs);
  if (routed.kind === 'refused') throw new Error(routed.reason);
  return routed.bookings[0]!;
}

const totals = (router: Router): number[] => {
  const { activeBlocks, activePrefillTokens, runningRequests } = router.load(0);
  return [activeBlocks, activePrefillTokens, runningRequests];
};

describe.each(['kv', 'what-if'] as const)('bookAt told, under %s', (policy) => {
  it('counts the load when it is told', () => {
    const router = routerOf(policy);
    const booking = route(router, 0);
    expect(totals(router)).toEqual([0, 0, 0]);
    router.count(booking, 5);
    expect(totals(router)).toEqual([3, 10, 1]);
    router.count(booking, 6);
    expect(totals(router)).toEqual([3, 10, 1]);
    router.firstToken(booking, 100);
    router.outputTokens(booking, 1, 100);
    router.release(booking, 'done', 200);
    expect(totals(router)).toEqual([0, 0, 0]);
    router.assertConsistent();
  });

  it('releases what was never counted, and counts nothing afterwards', () => {
    const router = routerOf(policy);
    const booking = route(router, 0);
    router.release(booking, 'failed', 1);
    router.count(booking, 2);
    expect(totals(router)).toEqual([0, 0, 0]);
    expect([router.liveBookings, router.counters().stale]).toEqual([0, 1]);
    router.assertConsistent();
  });
});
