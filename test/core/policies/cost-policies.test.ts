// The policies with a one-line cost, each on an example of its formula calculated by hand.

import { describe, expect, it } from 'vitest';
import { createPolicy, type LabPolicyName, type PolicyOptions, Random } from '../../../src/core/index.ts';
import { type Columns, candidatesOf, requestOf } from './columns.ts';

/** A prompt of 100 tokens, blocks of 16: A is idle and has nothing; B holds 64 tokens of it and is busy. */
const idle: Columns = { uncachedTokens: 100, newBlocks: 7 };
const busy: Columns = {
  overlapBlocks: 4,
  overlapTokens: 64,
  uncachedTokens: 36,
  newBlocks: 3,
  activePrefillTokens: 50,
  activeBlocks: 9,
  runningRequests: 2,
};

function choose<Name extends LabPolicyName>(name: Name, rows: readonly Columns[], options?: PolicyOptions[Name]) {
  const policy = createPolicy(name, options);
  const candidates = candidatesOf(...rows);
  const choice = policy.choose(requestOf(100), candidates, new Random(1), policy.init());
  return { ...choice, costs: [...candidates.cost] };
}

describe('dynamo', () => {
  it('costs (prefill booked + ISL) / block size - overlap + active + new blocks', () => {
    // A: 100/16 - 0 + 0 + 7 = 13.25.  B: 150/16 - 4 + 9 + 3 = 9.375 + 8 = 17.375.
    expect(choose('dynamo', [idle, busy])).toEqual({ position: 0, reason: 'cost', costs: [13.25, 17.375] });
  });

  it('applies prefill scale, overlap credit and request weight', () => {
    // A: 2 x 6.25 + 7 = 19.5.  B: 2 x (9.375 - 0.5 x 4) + 12 + 3 x 2 = 14.75 + 18 = 32.75.
    const options = { prefillScale: 2, overlapCredit: 0.5, activeRequestWeight: 3 };
    expect(choose('dynamo', [idle, busy], options).costs).toEqual([19.5, 32.75]);
  });

  it('never subtracts more than the prefill', () => {
    // B: max(0, 9.375 - 3 x 4) + 12.
    expect(choose('dynamo', [idle, busy], { overlapCredit: 3 }).costs[1]).toBe(12);
  });
});

describe('lmetric', () => {
  it('costs (prefill booked + own) x (requests + 1)', () => {
    // A: 100 x 1.  B: (50 + 36) x 3 = 258.
    expect(choose('lmetric', [idle, busy])).toEqual({ position: 0, reason: 'cost', costs: [100, 258] });
  });
});

describe('lpwl', () => {
  it('costs prefill booked + own', () => {
    // A: 100.  B: 50 + 36 = 86.
    expect(choose('lpwl', [idle, busy])).toEqual({ position: 1, reason: 'cost', costs: [100, 86] });
  });

  it('breaks equal work by the fewest requests, and equal requests at random', () => {
    const rows = [
      { uncachedTokens: 100, runningRequests: 3 },
      { uncachedTokens: 60, activePrefillTokens: 40, runningRequests: 1 },
      { uncachedTokens: 101 },
    ];
    expect(choose('lpwl', rows)).toEqual({ position: 1, reason: 'cost', costs: [100, 100, 101] });
    const policy = createPolicy('lpwl');
    const random = new Random(2);
    const drawn = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const candidates = candidatesOf(rows[0]!, rows[1]!, { ...rows[1]! });
      drawn.add(policy.choose(requestOf(100), candidates, random, null).position);
    }
    expect([...drawn].sort()).toEqual([1, 2]);
  });
});

describe('max-prefix', () => {
  it('takes the longest prefix whatever the load, then the fewest requests', () => {
    expect(choose('max-prefix', [idle, busy])).toEqual({ position: 1, reason: 'cost', costs: [100, 36] });
    expect(choose('max-prefix', [busy, { ...busy, runningRequests: 1 }]).position).toBe(1);
  });
});

describe('sticky-token-load', () => {
  // A prompt of 100: `cold` costs 0 + 100; `warm` (80 cached) 90 + 20 = 110; `warmer` (90 cached) 95 + 10 = 105.
  const cold = { uncachedTokens: 100 };
  const warm = { overlapTokens: 80, uncachedTokens: 20, activePrefillTokens: 90 };
  const warmer = { overlapTokens: 90, uncachedTokens: 10, activePrefillTokens: 95 };

  it('stays with the best warm worker although a cold one costs less', () => {
    expect(choose('sticky-token-load', [cold, warm, warmer])).toEqual({
      position: 2,
      reason: 'affinity',
      costs: [100, 110, 105],
    });
  });

  it('leaves if the prefill there exceeds the least by more than the gap', () => {
    expect(choose('sticky-token-load', [cold, warm, warmer], { prefillGapTokensMax: 95 }).position).toBe(2);
    const left = choose('sticky-token-load', [cold, warm, warmer], { prefillGapTokensMax: 94 });
    expect(left).toMatchObject({ position: 0, reason: 'cost' });
  });

  it('calls a worker warm from 80 per cent', () => {
    const lukewarm = { overlapTokens: 79, uncachedTokens: 21, activePrefillTokens: 90 };
    expect(choose('sticky-token-load', [cold, lukewarm])).toMatchObject({ position: 0, reason: 'cost' });
    expect(choose('sticky-token-load', [cold, lukewarm], { warmMatchMin: 0.79 })).toMatchObject({ position: 1 });
  });

  it('has a gap of 14 s of prefill at 20,480 tokens a second', () => {
    const far = { ...warm, activePrefillTokens: 286_720 };
    expect(choose('sticky-token-load', [cold, far]).position).toBe(1);
    expect(choose('sticky-token-load', [cold, { ...far, activePrefillTokens: 286_721 }]).position).toBe(0);
  });
});
