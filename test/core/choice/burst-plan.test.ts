// Plans for requests that arrive together: every request once, nothing booked by planning, and never worse than placing
// one after the other.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, type Policy, type PolicyBooking, type RouteRequest, Router } from '../../../src/core/index.ts';
import { announced, hasher, promptOf, range } from '../router-harness.ts';

const blockSize = 4;

/** A prompt's blocks by content; `own` distinguishes its tail. */
interface Drawn {
  readonly blocks: readonly number[];
  readonly tail: number;
}

function tokensOf({ blocks, tail }: Drawn, own: number): number[] {
  const tokens = blocks.flatMap((block) => new Array<number>(blockSize).fill(block));
  // At least one token, since the last block of a fully cached prompt is computed again.
  for (let i = 0; i < tail; i++) tokens.push(1000 + own);
  return tokens;
}

function requestOf(drawn: Drawn, own: number): RouteRequest {
  return { prompts: [promptOf(tokensOf(drawn, own), blockSize)] };
}

const drawn = fc.record({
  blocks: fc.array(fc.nat(2), { maxLength: 12 }),
  tail: fc.integer({ min: 1, max: blockSize - 1 }),
});

const scenes = fc.record({
  workerCount: fc.integer({ min: 1, max: 4 }),
  before: fc.array(drawn, { maxLength: 5 }),
  held: fc.array(drawn, { maxLength: 3 }),
  burst: fc.array(drawn, { minLength: 1, maxLength: 12 }),
  policy: fc.constantFrom('kv', 'lmetric', 'dynamo'),
} as const);

interface Scene {
  readonly workerCount: number;
  readonly before: readonly Drawn[];
  readonly held: readonly Drawn[];
  readonly burst: readonly Drawn[];
  readonly policy: 'kv' | 'lmetric' | 'dynamo';
}

function routerOf({ workerCount, before, held, policy }: Scene, joint = true, made?: Policy): Router {
  const router = new Router({ policy: made ?? createPolicy(policy), seed: 7, joint, hasher });
  for (let i = 0; i < workerCount; i++) {
    router.addWorker({ id: `w${i}`, blockSize, capacityBlocks: 10_000, source: 'events' });
  }
  for (const [i, one] of held.entries()) {
    router.applyKvEvent(i % workerCount, announced(tokensOf(one, 500 + i), blockSize), 0);
  }
  for (const [i, one] of before.entries()) router.route(requestOf(one, 100 + i), 0);
  return router;
}

/** Total waiting time by its definition: n x B + W x (n + 1) / 2 of each worker, W counted block by block. */
function totalWaiting(scene: Scene, workers: readonly number[]): number {
  const { workerCount, before, held, burst } = scene;
  const router = routerOf(scene);
  const keys = ({ blocks }: Drawn): string[] => blocks.map((_, i) => blocks.slice(0, i + 1).join());
  const placedBefore = routerOf({ ...scene, before: [] });
  const worker = before.map((one, i) => {
    const routed = placedBefore.route(requestOf(one, 100 + i), 0);
    return routed.kind === 'routed' ? routed.decision.worker : -1;
  });
  let total = 0;
  for (let w = 0; w < workerCount; w++) {
    const known = new Set<string>();
    for (const [i, one] of held.entries()) if (i % workerCount === w) for (const key of keys(one)) known.add(key);
    for (const [i, one] of before.entries()) if (worker[i] === w) for (const key of keys(one)) known.add(key);
    const own = burst.filter((_, i) => workers[i] === w);
    let tokens = 0;
    for (const one of own) {
      tokens += one.tail;
      for (const key of keys(one)) {
        if (!known.has(key)) tokens += blockSize;
        known.add(key);
      }
    }
    total += own.length * router.load(w).activePrefillTokens + (tokens * (own.length + 1)) / 2;
  }
  return total;
}

function bookAsPlanned(router: Router, requests: readonly RouteRequest[]): { workers: number[]; bookings: number[] } {
  const workers: number[] = [];
  const bookings: number[] = [];
  for (const { index, worker } of router.plan(requests, 0)) {
    const routed = router.route(requests[index]!, 0, worker);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    expect(routed.decision.worker).toBe(worker);
    workers[index] = routed.decision.worker;
    bookings.push(...routed.bookings);
  }
  return { workers, bookings };
}

describe('a plan for requests that arrive together', () => {
  it('contains every request once, books nothing, and leaves later choices unchanged', () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const requests = scene.burst.map(requestOf);
        const router = routerOf(scene);
        const twin = routerOf(scene);
        const before = [router.loads(), router.counters(), router.liveBookings];
        const plan = router.plan(requests, 0);
        expect(plan.map(({ index }) => index).sort((a, b) => a - b)).toEqual(range(0, requests.length));
        expect([router.loads(), router.counters(), router.liveBookings]).toEqual(before);
        expect(router.plan(requests, 0).map(({ index }) => index)).toHaveLength(requests.length);
        for (const request of requests) {
          const [one, other] = [router.route(request, 0), twin.route(request, 0)];
          if (one.kind === 'refused' || other.kind === 'refused') throw new Error('refused');
          expect(one.decision.candidates()).toEqual(other.decision.candidates());
          expect(one.decision.worker).toBe(other.decision.worker);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is booked as planned: the ledger stays exact and ends empty', () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const alive = new Set<number>();
        let booked = 0;
        const policy: Policy = {
          ...createPolicy(scene.policy),
          onBooked: (_state: unknown, { order }: PolicyBooking) => {
            booked++;
            alive.add(order);
          },
          onReleased: (_state: unknown, { order }: PolicyBooking) => {
            expect(alive.delete(order)).toBe(true);
          },
        };
        const router = routerOf({ ...scene, before: [] }, true, policy);
        const { bookings } = bookAsPlanned(router, scene.burst.map(requestOf));
        router.assertConsistent();
        expect(booked).toBe(scene.burst.length);
        expect(router.counters()).toMatchObject({ routed: booked, released: 0 });
        for (const booking of bookings) router.release(booking, 'done', 1);
        expect([alive.size, router.liveBookings, router.counters().released]).toEqual([0, 0, booked]);
        for (const load of router.loads()) {
          expect(load).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
        }
        router.assertConsistent();
      }),
      { numRuns: 100 },
    );
  });

  it('never has a longer total wait than placing the shortest first, one after the other', () => {
    let improved = 0;
    fc.assert(
      fc.property(scenes, (scene) => {
        const requests = scene.burst.map(requestOf);
        const { workers } = bookAsPlanned(routerOf(scene), requests);
        const one = routerOf(scene, false);
        const uncached = requests.map((request) => {
          const routed = routerOf(scene, false).route(request, 0);
          if (routed.kind === 'refused') throw new Error(routed.reason);
          return Math.min(...routed.decision.candidates().map(({ uncachedTokens }) => uncachedTokens));
        });
        const order = range(0, requests.length).sort((a, b) => uncached[a]! - uncached[b]! || a - b);
        // A plan draws among equal costs from its own random source: compare only if the policy never drew.
        const alone: number[] = [];
        let drew = false;
        for (const index of order) {
          const routed = one.route(requests[index]!, 0);
          if (routed.kind === 'refused') throw new Error(routed.reason);
          drew ||= routed.decision.reason === 'tie';
          alone[index] = routed.decision.worker;
        }
        if (drew) return;
        const [planned, greedy] = [totalWaiting(scene, workers), totalWaiting(scene, alone)];
        expect(planned).toBeLessThanOrEqual(greedy);
        if (planned < greedy) improved++;
      }),
      { numRuns: 200 },
    );
    expect(improved).toBeGreaterThan(0);
  });

  it("sends each worker's prompts shortest first, and counts a shared beginning once", () => {
    const router = new Router({ policy: createPolicy('kv'), seed: 1, joint: true });
    router.addWorker({ id: 'w', blockSize, capacityBlocks: 1000, source: 'events' });
    const long = { blocks: [7, 7, 7, 7, 7, 7], tail: 1 };
    const group = range(0, 4).map((i) => ({ blocks: [1, 1, 1], tail: 1 + (i % 2) }));
    const short = { blocks: [9], tail: 3 };
    const requests = [long, group[0]!, short, group[1]!, group[2]!, group[3]!].map(requestOf);
    expect(router.plan(requests, 0).map(({ index }) => index)).toEqual([1, 4, 3, 5, 2, 0]);
  });

  it('routes requests with several prompts, own weights or no candidate one by one', () => {
    const router = new Router({ policy: createPolicy('kv'), seed: 1, joint: true });
    for (const id of ['a', 'b']) router.addWorker({ id, blockSize, capacityBlocks: 1000, source: 'events' });
    const one = requestOf({ blocks: [1], tail: 1 }, 0);
    const requests: RouteRequest[] = [
      { prompts: [one.prompts[0]!, one.prompts[0]!] },
      { ...one, temperature: 0 },
      { ...one, overlapWeight: 2 },
      { ...one, excluded: new Set([0, 1]) },
      { ...one, excluded: new Set([0]) },
    ];
    expect(router.plan(requests, 0)).toEqual([
      { index: 4, worker: 1 },
      ...range(0, 4).map((index) => ({ index, worker: null })),
    ]);
  });

  it('is skipped if the policy must not plan: requests keep their order', () => {
    const requests = range(0, 3).map((i) => requestOf({ blocks: [1, 2].slice(0, i), tail: 3 - i }, i));
    const inOrder = range(0, 3).map((index) => ({ index, worker: null }));
    for (const [policy, joint] of [
      [createPolicy('kv'), false],
      [createPolicy('kv'), undefined],
      [createPolicy('round-robin'), true],
    ] as const) {
      const router = new Router({ policy, seed: 1, ...(joint !== undefined && { joint }) });
      router.addWorker({ id: 'w', blockSize, capacityBlocks: 1000, source: 'events' });
      expect([router.plansBursts, router.plan(requests, 0)]).toEqual([false, inOrder]);
    }
  });

  it('does not move a request away from its prefix while other routers are heard', () => {
    const atFirst: Policy = { ...createPolicy('kv'), choose: () => ({ position: 0, reason: 'cost' }) };
    const router = new Router({ policy: atFirst, seed: 1, joint: true, hasher });
    const [a, b] = ['a', 'b'].map((id) =>
      router.addWorker({ id, blockSize, capacityBlocks: 10_000, source: 'events' }),
    );
    const held = { blocks: range(0, 100), tail: 1 };
    router.applyKvEvent(a!, announced(tokensOf(held, 0), blockSize), 0);
    // More prefill than the whole prompt has.
    router.route(requestOf({ blocks: range(200, 500), tail: 1 }, 1), 0, a!);
    const planned = (): (number | null)[] =>
      router.plan([requestOf(held, 2), requestOf(held, 3)], 0).map(({ worker }) => worker);
    expect(planned()).toContain(b);
    router.shared.routersHeard = 2;
    expect(planned()).toEqual([a, a]);
    router.shared.routersHeard = 1;
    expect(planned()).toContain(b);
  });

  it("books the policy's choice if the planned worker is no longer a candidate", () => {
    const router = new Router({ policy: createPolicy('kv'), seed: 1, joint: true });
    const [a, b] = ['a', 'b'].map((id) => router.addWorker({ id, blockSize, capacityBlocks: 1000, source: 'events' }));
    const request = requestOf({ blocks: range(0, 10), tail: 1 }, 0);
    router.setRoutable(a!, false);
    const first = router.route(request, 0, a!);
    expect(first).toMatchObject({ decision: { worker: b, reason: 'only' } });
    if (first.kind === 'routed') router.firstToken(first.bookings[0]!, 1);
    router.setRoutable(a!, true);
    expect(router.route(request, 1, a!)).toMatchObject({ decision: { worker: a, reason: 'joint' } });
    expect(router.route(request, 1, b!)).toMatchObject({ decision: { worker: b, reason: 'cost' } });
  });
});
