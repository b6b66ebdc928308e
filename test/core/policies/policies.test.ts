// Each policy on an example of its formula calculated by hand.

import { describe, expect, it } from 'vitest';
import { Candidates } from '../../../src/core/choice/candidates.ts';
import { createPolicy, type KvOptions, Random } from '../../../src/core/index.ts';
import { announced, range, routerOf } from '../router-harness.ts';

const request = { nowMs: 0, isl: 100, prompts: [], overlapWeight: undefined, temperature: undefined };

/** Two workers: A has computed nothing and is idle; B holds 64 of 100 tokens and is busy. Blocks of 16. */
function twoWorkers(): Candidates {
  const candidates = new Candidates();
  candidates.reset(2);
  candidates.count = 2;
  candidates.worker.set([0, 1]);
  candidates.blockSize.set([16, 16]);
  candidates.uncachedTokens.set([100, 36]);
  candidates.newBlocks.set([7, 3]);
  candidates.activePrefillTokens.set([0, 50]);
  candidates.activeBlocks.set([0, 9]);
  candidates.runningRequests.set([0, 2]);
  return candidates;
}

function costsOf(options: KvOptions, overrides: { overlapWeight?: number } = {}): number[] {
  const candidates = twoWorkers();
  createPolicy('kv', options).choose({ ...request, ...overrides }, candidates, new Random(1), null);
  return [...candidates.cost];
}

describe('kv', () => {
  it('costs weight x (prefill booked + own) + (active + new) x block size', () => {
    expect(costsOf({})).toEqual([100 + 7 * 16, 86 + 12 * 16]);
    expect(costsOf({ overlapWeight: 2 })).toEqual([200 + 112, 172 + 192]);
    expect(costsOf({ overlapWeight: 0 })).toEqual([112, 192]);
    expect(costsOf({}, { overlapWeight: 0 })).toEqual([112, 192]);
  });

  it('form 1731 omits the booked prefill', () => {
    expect(costsOf({ form: '1731' })).toEqual([212, 36 + 192]);
  });

  it('draws with p proportional to exp(-cost / range / temperature)', () => {
    const policy = createPolicy('kv', { temperature: 0.5 });
    const random = new Random(5);
    let first = 0;
    for (let i = 0; i < 20_000; i++) if (policy.choose(request, twoWorkers(), random, null).position === 0) first++;
    expect(first / 20_000).toBeCloseTo(1 / (1 + Math.exp(-1 / 0.5)), 2);
  });

  it('after booking an identical request costs at least as much as with resident blocks and no load', () => {
    const prompt = range(0, 45);
    const booked = routerOf(1);
    booked.route(prompt);
    const resident = routerOf(1);
    resident.router.applyKvEvent(0, announced(prompt, 4), 0);
    const costOf = (harness: typeof booked): number => harness.route(prompt).decision.candidates()[0]!.cost;
    expect(costOf(booked)).toBeGreaterThanOrEqual(costOf(resident));
  });
});

describe('baselines', () => {
  it('round robin takes each worker in turn and skips those that may not be chosen', () => {
    const { router, route } = routerOf(3, { policy: createPolicy('round-robin') });
    const next = (excluded: number[] = []): number => route([1], { excluded: new Set(excluded) }).decision.worker;
    expect([next(), next(), next(), next()]).toEqual([0, 1, 2, 0]);
    expect(next([1])).toBe(2);
    router.removeWorker(0);
    expect([next(), next(), next()]).toEqual([1, 2, 1]);
  });

  it('least requests takes the worker with the fewest in flight', () => {
    const { router, route } = routerOf(2, { policy: createPolicy('least-requests') });
    const a = route([1]);
    const b = route([1]);
    expect(new Set([a.decision.worker, b.decision.worker]).size).toBe(2);
    router.release(a.bookings[0]!, 'done', 0);
    expect(route([1]).decision).toMatchObject({ worker: a.decision.worker, reason: 'cost' });
  });

  it('power of two never takes the busiest of three', () => {
    const candidates = new Candidates();
    candidates.reset(3);
    candidates.count = 3;
    candidates.worker.set([0, 1, 2]);
    candidates.runningRequests.set([1, 9, 2]);
    const random = new Random(1);
    const policy = createPolicy('power-of-two');
    const chosen = new Set(range(0, 200).map(() => policy.choose(request, candidates, random, null).position));
    expect([...chosen].sort()).toEqual([0, 2]);
  });
});

it('the random source is uniform, in range and the same for the same seed', () => {
  const random = new Random(42);
  const again = new Random(42);
  const seen = new Array<number>(7).fill(0);
  let sum = 0;
  for (let i = 0; i < 70_000; i++) {
    const draw = random.below(7);
    expect(again.below(7)).toBe(draw);
    seen[draw]!++;
    sum += random.float();
    again.float();
  }
  for (const times of seen) expect(Math.abs(times - 10_000)).toBeLessThan(500);
  expect(sum / 70_000).toBeCloseTo(0.5, 2);
});
