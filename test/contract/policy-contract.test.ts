// The contract that every policy fulfils: pure choice, monotone costs where declared, the same seed and view the same choice.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Candidates } from '../../src/core/candidates.ts';
import { createPolicy, type Policy, policyNames, Random } from '../../src/core/index.ts';

const policies: [string, () => Policy][] = [
  ...policyNames.map((name): [string, () => Policy] => [name, () => createPolicy(name)]),
  ['kv, form 1731', () => createPolicy('kv', { form: '1731' })],
  ['kv, weight 0', () => createPolicy('kv', { overlapWeight: 0 })],
  ['kv, temperature 0.5', () => createPolicy('kv', { temperature: 0.5 })],
];

interface Row {
  overlapBlocks: number;
  activeBlocks: number;
  activePrefillTokens: number;
  runningRequests: number;
}

const blockSize = 16;
const promptBlocks = 20;
const isl = promptBlocks * blockSize + 3;

const row = fc.record({
  overlapBlocks: fc.nat(promptBlocks),
  activeBlocks: fc.nat(300),
  activePrefillTokens: fc.nat(9000),
  runningRequests: fc.nat(20),
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
    candidates.activeBlocks[i] = one.activeBlocks;
    candidates.activePrefillTokens[i] = one.activePrefillTokens;
    candidates.runningRequests[i] = one.runningRequests;
  }
  candidates.count = rows.length;
  return candidates;
}

const request = { nowMs: 0, isl, prompts: [], overlapWeight: undefined, temperature: undefined };

const bookingOf = (worker: number, order: number) => ({ worker, order, isl, uncachedTokens: isl, bookedMs: 0 });

describe.each(policies)('%s', (_name, make) => {
  it('chooses one of the candidates, the same one for the same view and random state, without an effect', () => {
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
        const before = JSON.stringify(state);
        for (let i = 0; i < 3; i++) expect(choose()).toEqual(choice);
        expect(JSON.stringify(state)).toBe(before);
      }),
    );
  });

  it('leaves every column but the cost as it was', () => {
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

  it('reaches every one of equal candidates', () => {
    const policy = make();
    const state = policy.init();
    const random = new Random(3);
    const equal = { overlapBlocks: 0, activeBlocks: 5, activePrefillTokens: 100, runningRequests: 2 };
    const candidates = candidatesOf([equal, equal, equal, equal]);
    const chosen = new Map<number, number>();
    for (let i = 0; i < 400; i++) {
      const { position } = policy.choose(request, candidates, random, state);
      policy.onBooked?.(state, bookingOf(candidates.worker[position]!, i), request);
      chosen.set(position, (chosen.get(position) ?? 0) + 1);
    }
    expect(chosen.size).toBe(4);
    for (const times of chosen.values()) expect(times).toBeGreaterThan(60);
  });

  it('has monotone costs if it says so', () => {
    const policy = make();
    if (!policy.monotone) {
      expect(['round-robin', 'random']).toContain(policy.name);
      return;
    }
    const costOf = (one: Row): number => {
      const candidates = candidatesOf([one]);
      policy.choose({ ...request, temperature: 0 }, candidates, new Random(1), policy.init());
      return candidates.cost[0]!;
    };
    fc.assert(
      fc.property(row, (one) => {
        const cost = costOf(one);
        if (one.overlapBlocks < promptBlocks) {
          expect(costOf({ ...one, overlapBlocks: one.overlapBlocks + 1 })).toBeLessThanOrEqual(cost);
        }
        expect(costOf({ ...one, activeBlocks: one.activeBlocks + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, activePrefillTokens: one.activePrefillTokens + 1 })).toBeGreaterThanOrEqual(cost);
        expect(costOf({ ...one, runningRequests: one.runningRequests + 1 })).toBeGreaterThanOrEqual(cost);
      }),
    );
  });
});
