// The order of prompts with shared beginnings, compared with every permutation.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Job, orderOfWork } from '../../../src/core/choice/work-order.ts';
import { hasher, range } from '../router-harness.ts';

const blockSize = 4;

interface Drawn {
  /** Content of the leading blocks; equal leading numbers are a shared beginning. */
  readonly blocks: readonly number[];
  readonly tail: number;
}

function jobOf({ blocks, tail }: Drawn, own: number): Job {
  const tokens = blocks.flatMap((block) => new Array<number>(blockSize).fill(block));
  for (let i = 0; i < tail; i++) tokens.push(1000 + own);
  return { hashes: hasher.hash(Uint32Array.from(tokens), blockSize), isl: tokens.length, cachedTokens: 0 };
}

/** Sum of the completion times, with each block computed once. */
function totalTime(drawn: readonly Drawn[], order: readonly number[]): number {
  const computed = new Set<string>();
  let now = 0;
  let total = 0;
  for (const at of order) {
    const { blocks, tail } = drawn[at]!;
    for (let i = 1; i <= blocks.length; i++) {
      const key = blocks.slice(0, i).join();
      if (!computed.has(key)) now += blockSize;
      computed.add(key);
    }
    now += tail;
    total += now;
  }
  return total;
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

const drawnJobs = fc.array(
  fc.record({ blocks: fc.array(fc.nat(1), { maxLength: 5 }), tail: fc.integer({ min: 1, max: 9 }) }),
  { minLength: 1, maxLength: 6 },
);

describe('the order of work', () => {
  it('has the lowest mean time of all orders', () => {
    fc.assert(
      fc.property(drawnJobs, (drawn) => {
        const order = orderOfWork(drawn.map(jobOf));
        expect([...order].sort((a, b) => a - b)).toEqual(range(0, drawn.length));
        const best = Math.min(...permutations(range(0, drawn.length)).map((other) => totalTime(drawn, other)));
        expect(totalTime(drawn, order)).toBe(best);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps equals in their order', () => {
    const job = jobOf({ blocks: [1, 2], tail: 3 }, 0);
    expect(orderOfWork([job, job, job])).toEqual([0, 1, 2]);
  });

  it('counts a cached shared beginning as done', () => {
    const shared = { blocks: [1, 1, 1, 1, 1], tail: 1 };
    const short = { blocks: [2], tail: 2 };
    expect(orderOfWork([jobOf(shared, 0), jobOf(short, 1)])).toEqual([1, 0]);
    expect(orderOfWork([{ ...jobOf(shared, 0), cachedTokens: 20 }, jobOf(short, 1)])).toEqual([0, 1]);
  });

  it('handles a thousand prompts that each continue the one before', () => {
    const blocks = range(0, 1000);
    const jobs = blocks.map((count) => jobOf({ blocks: blocks.slice(0, count), tail: 1 }, count));
    expect(orderOfWork(jobs.reverse())).toEqual(range(0, 1000).reverse());
  });
});
