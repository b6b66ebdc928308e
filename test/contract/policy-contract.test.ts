// The contract of every policy: pure choice, monotone costs if declared, the same choice for the same seed and view.

import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Candidates } from '../../src/core/choice/candidates.ts';
import {
  BlockHasher,
  createPolicy,
  labPolicyNames,
  type Policy,
  type PolicyBooking,
  type PolicyRequest,
  Random,
} from '../../src/core/index.ts';

const policies: [string, () => Policy][] = [
  ...labPolicyNames.map((name): [string, () => Policy] => [name, () => createPolicy(name)]),
  ['kv, form 1731', () => createPolicy('kv', { form: '1731' })],
  ['kv, weight 0', () => createPolicy('kv', { overlapWeight: 0 })],
  ['kv, temperature 0.5', () => createPolicy('kv', { temperature: 0.5 })],
  ['sglang-cache-aware, library', () => createPolicy('sglang-cache-aware', { defaults: 'library' })],
  ['sglang-cache-aware, smallest tree', () => createPolicy('sglang-cache-aware', { missRule: 'smallest-tree' })],
  ['dynamo, all terms', () => createPolicy('dynamo', { overlapCredit: 2, activeRequestWeight: 1 })],
  ['marginal-cost, fixed', () => createPolicy('marginal-cost', { recomputeWeight: 1 })],
];

/** Policies with rules that overrule the cost, or without a cost. */
const notMonotone = ['round-robin', 'random', 'prefix-hash', 'sglang-cache-aware', 'sticky-token-load'];

interface Row {
  overlapBlocks: number;
  activeBlocks: number;
  activePrefillTokens: number;
  runningRequests: number;
  /** Booked by other routers, on top of the three above. */
  othersBlocks: number;
  othersPrefillTokens: number;
  othersRequests: number;
}

const noOthers = { othersBlocks: 0, othersPrefillTokens: 0, othersRequests: 0 };

const blockSize = 16;
const promptBlocks = 20;
const isl = promptBlocks * blockSize + 3;

const row = fc.record({
  overlapBlocks: fc.nat(promptBlocks),
  activeBlocks: fc.nat(300),
  activePrefillTokens: fc.nat(9000),
  runningRequests: fc.nat(20),
  othersBlocks: fc.oneof(fc.constant(0), fc.nat(300)),
  othersPrefillTokens: fc.oneof(fc.constant(0), fc.nat(9000)),
  othersRequests: fc.oneof(fc.constant(0), fc.nat(20)),
});

/** Columns of candidates at worker indices 0, 2, 4, ...: indices need not be dense. */
function candidatesOf(rows: readonly Row[]): Candidates {
  const candidates = new Candidates();
  candidates.reset(rows.length);
  for (const [i, one] of rows.entries()) {
    candidates.worker[i] = 2 * i;
    candidates.blockSize[i] = blockSize;
    candidates.overlapBlocks[i] = one.overlapBlocks;
    candidates.promisedBlocks[i] = 0;
    candidates.overlapTokens[i] = one.overlapBlocks * blockSize;
    candidates.uncachedTokens[i] = isl - one.overlapBlocks * blockSize;
    candidates.newBlocks[i] = promptBlocks + 1;
    candidates.activeBlocks[i] = one.activeBlocks + one.othersBlocks;
    candidates.activePrefillTokens[i] = one.activePrefillTokens + one.othersPrefillTokens;
    candidates.runningRequests[i] = one.runningRequests + one.othersRequests;
    candidates.othersBlocks[i] = one.othersBlocks;
    candidates.othersPrefillTokens[i] = one.othersPrefillTokens;
    candidates.othersRequests[i] = one.othersRequests;
    // A speed model of 0.06 ms per token for equally fast workers with equal work.
    candidates.kvUsage[i] = (candidates.activeBlocks[i]! + promptBlocks + 1) / 400;
    candidates.prefillMs[i] = 0.06 * candidates.uncachedTokens[i]!;
    candidates.backlogMs[i] = 0.06 * candidates.activePrefillTokens[i]!;
    candidates.ttftMs[i] = candidates.prefillMs[i]! + candidates.backlogMs[i]!;
    candidates.tpotMs[i] = 20;
    candidates.prefillShare[i] = 1;
    candidates.slowness[i] = 1;
  }
  candidates.count = rows.length;
  return candidates;
}

const hasher = new BlockHasher();

/** The first tokens distinguish requests. */
function requestOf(first: number, nowMs = 0): PolicyRequest {
  const prompt = { isl, hashes: [hasher.hash(new Uint32Array(isl).fill(first), blockSize)] };
  return { nowMs, isl, prompts: [prompt], overlapWeight: undefined, temperature: undefined };
}

const request = requestOf(0);

function bookingOf(worker: number, order: number): PolicyBooking {
  return { worker, order, isl, uncachedTokens: isl, bookedMs: 0, outputTokens: [0] };
}

const costsOf = (policy: Policy, state: unknown, candidates: Candidates, nowMs = 0): number[] => {
  policy.choose({ ...requestOf(999, nowMs), temperature: 0 }, candidates, new Random(1), state);
  return [...candidates.cost.subarray(0, candidates.count)];
};

const all = (state: unknown): string => inspect(state, { depth: Number.POSITIVE_INFINITY, maxArrayLength: null });

const step = fc.record({
  kind: fc.constantFrom('booked', 'booked', 'first-token', 'released'),
  /** For a booking: its worker. For other steps: which live booking. */
  which: fc.nat(7),
  elapsedMs: fc.nat(200),
});

interface Step {
  kind: string;
  which: number;
  elapsedMs: number;
}

/** The state of a policy after these steps; `end` releases the bookings still in flight. */
function lived(policy: Policy, steps: readonly Step[]): { state: unknown; nowMs: number; end: () => void } {
  const state = policy.init();
  const live: { booking: PolicyBooking; hadFirstToken: boolean }[] = [];
  let nowMs = 0;
  let order = 0;
  const release = (one: (typeof live)[number]): void => {
    live.splice(live.indexOf(one), 1);
    policy.onReleased?.(state, one.booking);
  };
  for (const { kind, which, elapsedMs } of steps) {
    nowMs += elapsedMs;
    const one = live[which];
    if (kind === 'booked') {
      const booking = bookingOf(which, order++);
      live.push({ booking, hadFirstToken: false });
      policy.onBooked?.(state, booking, requestOf(which, nowMs));
    } else if (one && kind === 'released') {
      release(one);
    } else if (one && !one.hadFirstToken) {
      one.hadFirstToken = true;
      policy.onFirstToken?.(state, one.booking, nowMs);
    }
  }
  return {
    state,
    nowMs,
    end: () => {
      while (live.length > 0) release(live[0]!);
    },
  };
}

describe.each(policies)('%s', (_name, make) => {
  it('chooses a candidate, the same one for the same view and random state, without side effects', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 9 }), fc.integer(), (rows, seed) => {
        const policy = make();
        const state = policy.init();
        const choose = (): { position: number; reason: string } =>
          policy.choose(request, candidatesOf(rows), new Random(seed), state);
        const choice = choose();
        expect(choice.position).toBeGreaterThanOrEqual(0);
        expect(choice.position).toBeLessThan(rows.length);
        if (rows.length === 1) expect(choice.reason).toBe('only');
        const before = all(state);
        for (let i = 0; i < 3; i++) expect(choose()).toEqual(choice);
        expect(all(state)).toBe(before);
      }),
    );
  });

  it('changes no column but the cost', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 9 }), (rows) => {
        const policy = make();
        const candidates = candidatesOf(rows);
        policy.choose(request, candidates, new Random(1), policy.init());
        const fresh = candidatesOf(rows);
        candidates.cost.fill(0);
        expect(candidates.copy()).toEqual(fresh.copy());
      }),
    );
  });

  it('reaches each of several equal candidates', () => {
    const policy = make();
    const state = policy.init();
    const random = new Random(3);
    const equal = { overlapBlocks: 0, activeBlocks: 5, activePrefillTokens: 100, runningRequests: 2, ...noOthers };
    const candidates = candidatesOf([equal, equal, equal, equal]);
    const chosen = new Map<number, number>();
    for (let i = 0; i < 400; i++) {
      const fresh = requestOf(i);
      const { position } = policy.choose(fresh, candidates, random, state);
      policy.onBooked?.(state, bookingOf(candidates.worker[position]!, i), fresh);
      chosen.set(position, (chosen.get(position) ?? 0) + 1);
    }
    expect(chosen.size).toBe(4);
    for (const times of chosen.values()) expect(times).toBeGreaterThan(60);
  });

  it('has monotone costs if it declares so', () => {
    const policy = make();
    expect(policy.monotone).toBe(!notMonotone.includes(policy.name));
    if (!policy.monotone) return;
    fc.assert(
      fc.property(row, fc.array(step, { maxLength: 20 }), (one, steps) => {
        const { state, nowMs } = lived(policy, steps);
        const costOf = (row: Row): number => costsOf(policy, state, candidatesOf([row]), nowMs)[0]!;
        const cost = costOf(one);
        if (one.overlapBlocks < promptBlocks) {
          expect(costOf({ ...one, overlapBlocks: one.overlapBlocks + 1 })).toBeLessThanOrEqual(cost);
        }
        expect(costOf({ ...one, activeBlocks: one.activeBlocks + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, activePrefillTokens: one.activePrefillTokens + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, runningRequests: one.runningRequests + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, othersBlocks: one.othersBlocks + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, othersPrefillTokens: one.othersPrefillTokens + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, othersRequests: one.othersRequests + 1 })).toBeGreaterThanOrEqual(cost);
      }),
    );
  });

  it('keeps no load once nothing is in flight', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const policy = make();
        const { state, nowMs, end } = lived(policy, steps);
        end();
        if (policy.name === 'sglang-cache-aware') for (let w = 0; w < 8; w++) policy.onWorkerRemoved?.(state, w);
        const idle = { overlapBlocks: 3, activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0, ...noOthers };
        const costs = costsOf(policy, state, candidatesOf([idle, idle, idle, idle]), nowMs);
        expect(costs).toEqual(costsOf(policy, policy.init(), candidatesOf([idle, idle, idle, idle]), nowMs));
      }),
    );
  });

  it('gives a new worker that reuses an index no load of the previous one', () => {
    const policy = make();
    const { state, end } = lived(
      policy,
      [0, 1, 2].map(() => ({ kind: 'booked', which: 2, elapsedMs: 1 })),
    );
    end();
    policy.onWorkerRemoved?.(state, 2);
    const row = { overlapBlocks: 0, activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0, ...noOthers };
    const costs = costsOf(policy, state, candidatesOf([row, row]), 3);
    expect(costs[1]).toBe(costs[0]);
  });
});
