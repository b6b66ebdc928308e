import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampledBlocks, sampledCounts } from '../../src/core/blocks/sampled-chain.ts';
import { createPolicy, type LabPolicyName, type Router } from '../../src/core/index.ts';
import { RouterChains } from '../../src/core/ledger/common-blocks.ts';
import { type LoadTotals, noLoad, type OthersPrompt } from '../../src/core/shared-load.ts';
import { announced, hasher, promptOf, range, routerOf } from './router-harness.ts';

const monotone: readonly LabPolicyName[] = ['foresee', 'kv', 'lmetric', 'lpwl', 'dynamo', 'least-requests', 'what-if', 'marginal-cost']; // biome-ignore format: one list

function loadOf(more: Partial<LoadTotals>): LoadTotals {
  return { ...noLoad, ...more };
}

/** How long computed blocks count on workers that have sent no event yet. */
const lingerMs = 3000;

function roundedDown(blocks: number): number {
  return sampledCounts.findLast((count) => count <= blocks)!;
}

/** Costs of the workers for a request that is not booked. */
function costs(router: Router, tokens: readonly number[], nowMs: number): number[] {
  const routed = router.route({ prompts: [promptOf(tokens, ...router.blockSizes())] }, nowMs);
  if (routed.kind === 'refused') throw new Error(routed.reason);
  for (const booking of routed.bookings) router.release(booking, 'failed', nowMs);
  return routed.decision.candidates().map(({ cost }) => cost);
}

const load = fc.record({
  activeTokens: fc.nat(4000).map((blocks) => 4 * blocks),
  prefillTokens: fc.nat(20_000),
  runningRequests: fc.nat(30),
});

describe('load of other routers', () => {
  it.each(monotone)('never lowers a cost of %s', (name) => {
    fc.assert(
      fc.property(load, load, (first, more) => {
        const { router } = routerOf(3, { policy: createPolicy(name) });
        const one = loadOf(first);
        router.shared.change(1, noLoad, one, 0);
        const before = costs(router, range(0, 40), 1)[1]!;
        const two = loadOf({
          activeTokens: first.activeTokens + more.activeTokens,
          prefillTokens: first.prefillTokens + more.prefillTokens,
          runningRequests: first.runningRequests + more.runningRequests,
        });
        router.shared.change(1, one, two, 1);
        expect(costs(router, range(0, 40), 1)[1]).toBeGreaterThanOrEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  it('moves requests to other workers, stands apart in decisions and loads, and leaves nothing', () => {
    const { router, route } = routerOf(2, { policy: createPolicy('foresee') });
    const busy = loadOf({ activeTokens: 400, ownTokens: 40, prefillTokens: 300, runningRequests: 2 });
    router.shared.change(0, noLoad, busy, 0);
    const { decision } = route(range(0, 20));
    expect(decision.worker).toBe(1);
    const [first] = decision.candidates();
    expect(first).toMatchObject({ othersBlocks: 100, activeBlocks: 100, ownBlocks: 10, othersPrefillTokens: 300 });
    expect(first).toMatchObject({ activePrefillTokens: 300, othersRequests: 2, runningRequests: 2 });
    expect(first!.backlogMs).toBeGreaterThan(0);
    expect(router.load(0)).toMatchObject({
      activeBlocks: 0,
      othersBlocks: 100,
      othersPrefillTokens: 300,
      othersRequests: 2,
    });
    router.shared.change(0, busy, noLoad, 1);
    expect(router.load(0)).toMatchObject({ othersBlocks: 0, othersPrefillTokens: 0, othersRequests: 0 });
  });

  it('takes room, and gives it back', () => {
    let changes = 0;
    const { router } = routerOf(1, { capacityBlocks: 100, onRoomChange: () => changes++ });
    const full = loadOf({ activeTokens: 98 * 4 });
    const admit = (): string => router.admit({ prompts: [promptOf(range(0, 12), 4)] }, 0).kind;
    router.shared.change(0, noLoad, full, 0);
    expect(admit()).toBe('held');
    changes = 0;
    router.shared.change(0, full, noLoad, 0);
    expect(changes).toBe(1);
    expect(admit()).toBe('routed');
  });

  it('is assumed where routers are not heard: own load is scaled where it meets a limit', () => {
    const { router } = routerOf(1, { capacityBlocks: 100 });
    const admit = (first: number): string =>
      router.admit({ prompts: [promptOf(range(first, first + 160), 4)] }, 0).kind;
    expect(admit(0)).toBe('routed');
    router.shared.ownScale = 2;
    expect(admit(1000)).toBe('held');
    router.shared.ownScale = 1;
    expect(admit(1000)).toBe('routed');
  });

  it.each([false, true])('promises blocks until they are computed and announced, sampled: %s', (sampled) => {
    const { router } = routerOf(3, { policy: createPolicy('foresee') });
    const tokens = range(0, 84);
    const hashes = hasher.hash(Uint32Array.from(tokens), 4);
    const sequence = sampled ? sampledBlocks(hashes) : hashes.sequence;
    const overlaps = (more: readonly number[]): number[] => {
      const routed = router.route({ prompts: [promptOf([...tokens.slice(0, 80), ...more], 4)] }, 0);
      if (routed.kind === 'refused') throw new Error(routed.reason);
      router.release(routed.bookings[0]!, 'failed', 0);
      return routed.decision.candidates().map(({ overlapBlocks }) => overlapBlocks);
    };
    expect(overlaps([1, 2, 3])).toEqual([0, 0, 0]);
    const chains = new RouterChains();
    const prompt = router.shared.begun(chains, 2, sequence, 4, sampled)!;
    // 20 blocks are shared; the samples are at 1 .. 8, 10, 12, 15, 18 and 22.
    expect(overlaps([1, 2, 3])).toEqual([0, 0, sampled ? 18 : 20]);
    expect(router.shared.begun(chains, 2, sequence, 16, sampled)).toBeNull();
    router.shared.computed(prompt, 100);
    router.shared.ended(prompt);
    router.shared.expire(300);
    expect(overlaps([1, 2, 3])[2]).toBeGreaterThan(0);
    router.shared.expire(100_000);
    expect(overlaps([1, 2, 3])).toEqual([0, 0, 0]);
    const failed = router.shared.begun(chains, 2, sequence, 4, sampled)!;
    expect(overlaps([1, 2, 3])[2]).toBeGreaterThan(0);
    router.shared.ended(failed);
    expect(overlaps([1, 2, 3])).toEqual([0, 0, 0]);
    expect(router.shared.common.isEmpty).toBe(true);
    router.assertConsistent();
    router.applyKvEvent(2, announced(tokens, 4), 1);
    expect(overlaps([1, 2, 3])).toEqual([0, 0, 20]);
  });

  it('counts as overlap from its beginning until it has ended and its blocks must have been announced', () => {
    const step = fc.record({
      kind: fc.constantFrom('begin', 'begin', 'compute', 'end', 'wait'),
      worker: fc.nat(1),
      branch: fc.nat(2),
      blocks: fc.integer({ min: 1, max: 30 }),
      which: fc.nat(7),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, sampled) => {
        const { router } = routerOf(2, { policy: createPolicy('foresee') });
        const chains = new RouterChains();
        const branchOf = (branch: number): number[] => [...range(0, 40), ...range(1000 * branch, 1000 * branch + 80)];
        const told: { prompt: OthersPrompt; worker: number; runs: boolean; untilMs: number; blocks: number[] }[] = [];
        let nowMs = 1000;
        for (const { kind, worker, branch, blocks, which } of steps) {
          const one = told[which % Math.max(1, told.length)];
          if (kind === 'begin') {
            const hashes = hasher.hash(Uint32Array.from(branchOf(branch).slice(0, 4 * blocks)), 4);
            const sequence = sampled ? sampledBlocks(hashes) : hashes.sequence;
            const prompt = router.shared.begun(chains, worker, sequence, 4, sampled)!;
            told.push({ prompt, worker, runs: true, untilMs: Number.POSITIVE_INFINITY, blocks: [branch, blocks] });
          } else if (kind === 'compute' && one?.runs && one.untilMs === Number.POSITIVE_INFINITY) {
            router.shared.computed(one.prompt, nowMs);
            one.untilMs = nowMs + lingerMs;
          } else if (kind === 'end' && one?.runs) {
            router.shared.ended(one.prompt);
            one.runs = false;
            if (one.untilMs === Number.POSITIVE_INFINITY) one.untilMs = 0;
          } else if (kind === 'wait') {
            nowMs += lingerMs / 2;
            router.shared.expire(nowMs);
          }
          const query = branchOf(branch);
          const decision = router.choose({ prompts: [promptOf([...query, 7], 4)] }, nowMs);
          if (!('candidates' in decision)) throw new Error(decision.reason);
          const expected = [0, 1].map((at) => {
            const active = told.filter((other) => other.worker === at && (other.runs || other.untilMs > nowMs));
            return active.reduce((most, { runs, untilMs, blocks: [theirs, count] }) => {
              const common = Math.min(count!, theirs === branch ? 30 : 10);
              const whole = !sampled && untilMs > nowMs ? common : 0;
              return Math.max(most, whole, runs || sampled ? roundedDown(common) : 0);
            }, 0);
          });
          expect(decision.candidates().map(({ overlapBlocks }) => overlapBlocks)).toEqual(expected);
        }
        router.assertConsistent();
      }),
      { numRuns: 200 },
    );
  });

  it('counts a block once that requests of several routers contain', () => {
    const { router, route } = routerOf(2, { policy: createPolicy('foresee') });
    const tokens = range(0, 48);
    const samples = sampledBlocks(hasher.hash(Uint32Array.from(tokens), 4));
    const told = loadOf({ activeTokens: 52, ownTokens: 4, runningRequests: 1 });
    const prompts = [new RouterChains(), new RouterChains()].map((chains) => {
      router.shared.change(0, noLoad, told, 0);
      return router.shared.begun(chains, 0, samples, 4, true)!;
    });
    // Two routers have 12 blocks in common, and a block of their own each.
    expect(router.load(0)).toMatchObject({ othersBlocks: 14, commonBlocks: 12 });
    const { decision } = route([...tokens, 1, 2, 3]);
    expect(decision.candidates()[0]).toMatchObject({ activeBlocks: 14, othersBlocks: 14, newBlocks: 1 });
    expect(decision.candidates()[1]).toMatchObject({ activeBlocks: 0, othersBlocks: 0, newBlocks: 13 });
    for (const prompt of prompts) {
      router.shared.ended(prompt);
      router.shared.change(0, told, noLoad, 1);
    }
    expect(router.load(0)).toMatchObject({ othersBlocks: 0, commonBlocks: 0 });
  });

  it('enters computed prompts in the mirror of a worker without events', () => {
    const { router, route } = routerOf(2, { source: 'approximate' });
    const { sequence } = hasher.hash(Uint32Array.from(range(0, 40)), 4);
    const prompt = router.shared.begun(new RouterChains(), 1, sequence, 4, false)!;
    router.shared.computed(prompt, 1);
    router.shared.ended(prompt);
    router.shared.expire(100_000);
    expect(router.heldBlocks(1)).toBe(10);
    expect(route(range(0, 44)).decision).toMatchObject({ worker: 1, overlapBlocks: 10 });
  });

  it('ends with a worker that is removed', () => {
    const { router } = routerOf(2);
    const { sequence } = hasher.hash(Uint32Array.from(range(0, 40)), 4);
    const chains = new RouterChains();
    const prompts = [false, true].map((sampled) => router.shared.begun(chains, 1, sequence, 4, sampled)!);
    router.shared.change(1, noLoad, loadOf({ activeTokens: 40, runningRequests: 1 }), 0);
    router.removeWorker(1);
    expect(router.shared.common.isEmpty).toBe(true);
    for (const prompt of prompts) {
      router.shared.computed(prompt, 1);
      router.shared.ended(prompt);
    }
    expect(router.addWorker({ id: 'new', blockSize: 4, capacityBlocks: 100, source: 'events' })).toBe(1);
    expect(router.load(1)).toMatchObject({ othersBlocks: 0, othersRequests: 0, commonBlocks: 0 });
    router.assertConsistent();
  });

  it('slows nobody down: a worker that also computes for others is not taken for slow', () => {
    const { router } = routerOf(2, { policy: createPolicy('foresee'), blockSize: 16 });
    // Both workers compute 10,000 tokens a second; the second one spends half of its time on another router.
    let told = noLoad;
    let nowMs = 0;
    for (let i = 0; i < 400; i++) {
      for (const worker of [0, 1]) {
        const tokens = range(i * 4000 + worker * 2000, i * 4000 + worker * 2000 + 1000);
        const excluded = new Set([1 - worker]);
        const routed = router.route({ prompts: [promptOf(tokens, 16)], excluded }, nowMs);
        if (routed.kind === 'refused') throw new Error(routed.reason);
        nowMs += 100;
        if (worker === 1) {
          const computedTokens = told.computedTokens + 1000;
          const next = loadOf({ computedTokens, computedPairs: told.computedPairs + 500_000 });
          router.shared.change(1, told, next, nowMs);
          told = next;
          nowMs += 100;
        }
        router.firstToken(routed.bookings[0]!, nowMs);
        router.release(routed.bookings[0]!, 'done', nowMs);
        nowMs += 50;
      }
    }
    const [first, second] = [0, 1].map((worker) => router.speedOf(worker, nowMs).slowness);
    expect(second! / first!).toBeGreaterThan(0.8);
    expect(second! / first!).toBeLessThan(1.25);
  });
});
