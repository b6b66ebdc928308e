import { describe, expect, it } from 'vitest';
import type { Candidates } from '../../../src/core/choice/candidates.ts';
import { type CandidateCost, createPolicy, type PolicyOptions, Random } from '../../../src/core/index.ts';
import { candidatesOf, requestOf } from './columns.ts';

type Row = Partial<CandidateCost>;

const usual: Row = { newBlocks: 3, prefillMs: 100, prefillShare: 1, slowness: 1, ttftMs: 100, tpotMs: 20 };

const rows = (...all: readonly Row[]): Candidates => candidatesOf(...all.map((row) => ({ ...usual, ...row })));

const costsOf = (candidates: Candidates, options: PolicyOptions['foresee'] = {}): number[] => {
  createPolicy('foresee', options).choose(requestOf(100), candidates, new Random(1), null);
  return [...candidates.cost];
};

const choiceOf = (candidates: Candidates, slo?: { ttftMs?: number; tpotMs?: number }, seed = 1) =>
  createPolicy('foresee').choose({ ...requestOf(100), slo }, candidates, new Random(seed), null);

describe('foresee', () => {
  it('costs [backlog + (1 + rho) x share x prefill] x (blocks + 1) / g x sqrt(slowness)', () => {
    const busy = { backlogMs: 1000, prefillMs: 40, prefillShare: 2, slowness: 4, kvUsage: 0.95, activeBlocks: 6 };
    // rho = 2, 4 x the mean of 1 s and 0 s. g = 0.05 / 0.1. Each request in flight adds 0.3 x 100 tokens.
    const costs = costsOf(rows({}, { ...busy, runningRequests: 8 }));
    expect(costs[0]).toBeCloseTo(3 * 100 * 4);
    expect(costs[1]).toBeCloseTo(((1000 + 3 * 2 * 40) * (10 + (8 * 0.3 * 100) / 16) * 2) / 0.5);
  });

  it('weighs recomputing by at most 17, and a full worker by at most 20', () => {
    expect(costsOf(rows({ backlogMs: 9000, kvUsage: 1.4 }))[0]).toBeCloseTo((9000 + 17 * 100) * 4 * 20);
  });

  it('takes affinity off as tokens of prefill, and multiplies the own prefill by the weight of the request', () => {
    const candidates = rows({ prefillMs: 100 }, { prefillMs: 100 });
    candidates.uncachedTokens.set([1000, 1000]);
    candidates.affinityTokens.set([0, 300]);
    expect(costsOf(candidates)).toEqual([400, 280]);
    candidates.affinityTokens[1] = 5000;
    expect(costsOf(candidates)[1]).toBe(0);
    createPolicy('foresee').choose({ ...requestOf(100), overlapWeight: 3 }, candidates, new Random(1), null);
    expect(candidates.cost[0]).toBe(1200);
  });

  it('counts blocks in units of 16 tokens', () => {
    const costs = costsOf(rows({ activeBlocks: 5 }, { activeBlocks: 29, blockSize: 4 }));
    expect(costs[0]).toBe(costs[1]);
  });

  it.each([
    ['share', 3 * 100 * 34 * 2 * 2],
    ['backlogWeight', 2 * 100 * 34 * 2 * 2],
    ['blocks', 3 * 2 * 100 * 2 * 2],
    ['requests', 3 * 2 * 100 * 4 * 2 * 2],
    ['capacity', 3 * 2 * 100 * 34 * 2],
    ['slowness', 3 * 2 * 100 * 34 * 2],
  ] as const)('leaves out %s', (option, expected) => {
    const row = { prefillShare: 2, slowness: 4, kvUsage: 0.95, runningRequests: 16 };
    expect(costsOf(rows(row, { backlogMs: 1000 }), { [option]: 'off' })[0]).toBeCloseTo(expected);
  });

  it('chooses the fewest requests in flight among near-ties, and draws among equals', () => {
    // The first costs 0.5 % more than the second, the third 2 %.
    const oneRequest = 4 + 0.3 * (100 / 16);
    const two = { runningRequests: 2 };
    const less = { prefillMs: (100.5 * (oneRequest + 0.3 * (100 / 16))) / oneRequest, runningRequests: 1 };
    const near = [less, two, { ...two, prefillMs: 102 }];
    expect(choiceOf(rows(...near))).toEqual({ position: 0, reason: 'tie' });
    const chosen = new Set(
      Array.from({ length: 30 }, (_, seed) => choiceOf(rows({}, {}, {}), undefined, seed).position),
    );
    expect(chosen.size).toBe(3);
    expect(choiceOf(rows({}, { prefillMs: 50 }))).toEqual({ position: 1, reason: 'cost' });
  });

  it('chooses even if no cost is a number', () => {
    const broken = { prefillMs: Number.NaN };
    expect(choiceOf(rows(broken, {}))).toEqual({ position: 1, reason: 'cost' });
    expect(choiceOf(rows(broken, broken)).reason).toBe('tie');
  });

  it('prefers a worker that is predicted to meet the SLO, whatever its cost', () => {
    const candidates = rows(
      { ttftMs: 900 },
      { ttftMs: 400, prefillMs: 300 },
      { ttftMs: 300, tpotMs: 90, prefillMs: 200 },
    );
    expect(choiceOf(candidates, { ttftMs: 500, tpotMs: 50 })).toEqual({ position: 1, reason: 'slo' });
    expect(choiceOf(candidates, { ttftMs: 500 })).toEqual({ position: 2, reason: 'slo' });
    expect(choiceOf(candidates, { ttftMs: 950 })).toEqual({ position: 0, reason: 'cost' });
    // None meets it, so the lowest cost wins.
    expect(choiceOf(candidates, { ttftMs: 10 })).toEqual({ position: 0, reason: 'cost' });
  });
});
