import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { infiniteCacheHitRate, pooledLruHitRate } from '../../src/trace/hit-ceilings.ts';
import type { Workload } from '../../src/trace/workload.ts';
import { naivePooledLruHitRate } from '../model/lru-naive.ts';

/** Blocks of 10 tokens; arrivals in the order of the list. */
const workload = (prompts: readonly { isl: number; ids: readonly number[] }[]): Workload => ({
  name: 'test',
  contentBlockTokens: 10,
  blockIdCount: 16,
  requests: prompts.map(({ isl, ids }, arrivalMs) => ({ arrivalMs, isl, osl: 1, blockIds: Int32Array.from(ids) })),
  notes: [],
});

const byHand = workload([
  { isl: 30, ids: [0, 1, 2] },
  { isl: 25, ids: [0, 1, 3] }, // 2 blocks seen: 20
  { isl: 25, ids: [0, 1, 3] }, // all seen, the partial one too: 25
  { isl: 40, ids: [4, 1] }, // block 1 does not lead: 0
  { isl: 20, ids: [0] }, // 10, and 10 of its own
]);

describe('infiniteCacheHitRate', () => {
  it('counts the leading blocks that an earlier arrival had', () => {
    expect(infiniteCacheHitRate(byHand)).toBeCloseTo(55 / 140, 12);
  });

  it('leaves the first requests out of the count, not out of the cache', () => {
    expect(infiniteCacheHitRate(byHand, 2)).toBeCloseTo(35 / 85, 12);
  });
});

describe('pooledLruHitRate', () => {
  it('evicts the least recently used prompt first, its tail before its head', () => {
    const prompts = workload([
      { isl: 30, ids: [0, 1, 2] },
      { isl: 20, ids: [3, 4] }, // 4 blocks fit: 2 goes
      { isl: 30, ids: [0, 1, 2] }, // 20
      { isl: 10, ids: [3] }, // 4 has gone, 3 has not: 10
    ]);
    expect(pooledLruHitRate(prompts, 49)).toBeCloseTo(30 / 90, 12);
  });

  it('equals the infinite one if everything fits, and is 0 without space', () => {
    expect(pooledLruHitRate(byHand, 1000)).toBeCloseTo(infiniteCacheHitRate(byHand), 12);
    expect(pooledLruHitRate(byHand, 9)).toBe(0);
  });

  it('equals its naive twin', () => {
    /** A path in a small tree, so that prompts share prefixes; the digits so far name a block. */
    const chain = fc
      .array(fc.integer({ min: 0, max: 1 }), { maxLength: 3 })
      .map((digits) =>
        digits.map((_, depth) => digits.slice(0, depth + 1).reduce((id, digit) => 2 * id + 1 + digit, 0)),
      );
    const prompt = fc
      .record({ ids: chain, ownTokens: fc.integer({ min: 1, max: 35 }) })
      .map(({ ids, ownTokens }) => ({ ids, isl: 10 * ids.length + ownTokens }));
    fc.assert(
      fc.property(
        fc.array(prompt, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 120 }),
        (prompts, room) => {
          const made = workload(prompts);
          expect(pooledLruHitRate(made, room)).toBe(naivePooledLruHitRate(made, room));
        },
      ),
    );
  });
});
