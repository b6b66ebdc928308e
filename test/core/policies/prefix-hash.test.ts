// Consistent hashing with bounded load: equal prefixes go to one worker until it is overloaded.

import { describe, expect, it } from 'vitest';
import { createPolicy, type PolicyRequest, Random } from '../../../src/core/index.ts';
import { range } from '../router-harness.ts';
import { type Columns, candidatesOf, promptRequest, requestOf } from './columns.ts';

const policy = createPolicy('prefix-hash');

function workerFor(request: PolicyRequest, rows: readonly Columns[], seed = 1): number {
  const candidates = candidatesOf(...rows);
  return candidates.worker[policy.choose(request, candidates, new Random(seed), null).position]!;
}

const idle: Columns[] = [{}, {}, {}, {}];
/** Prompts of 300 tokens that differ from the first token on; blocks of 16. */
const prompt = (i: number): PolicyRequest => promptRequest(range(1000 * i, 1000 * i + 300), 16);

describe('prefix-hash', () => {
  it('identifies a prompt by its first 256 tokens', () => {
    const shared = range(0, 256);
    const other = [...range(0, 255), 9999];
    const target = workerFor(promptRequest(shared, 16), idle);
    for (let i = 0; i < 20; i++) {
      expect(workerFor(promptRequest([...shared, ...range(1000 * i, 1000 * i + 200)], 16), idle, i)).toBe(target);
    }
    const targets = new Set(range(0, 20).map((i) => workerFor(promptRequest([...other, ...range(0, i)], 16), idle)));
    expect(targets.size).toBe(1);
  });

  it('identifies a shorter prompt by its last full block, and others by the block that completes 256 tokens', () => {
    // 40 tokens in blocks of 16: the second block, so that tokens 32 .. 39 do not matter. Blocks of 100: the third.
    const short = range(0, 32);
    expect(workerFor(promptRequest([...short, 7, 7], 16), idle)).toBe(workerFor(promptRequest(short, 16), idle));
    const differing = range(0, 40).map((i) =>
      workerFor(promptRequest([...range(0, 200), ...range(i, i + 150)], 100), idle),
    );
    expect(new Set(differing).size).toBe(4);
  });

  it('spreads prefixes evenly and moves only those of a worker that leaves', () => {
    const targets = range(0, 2000).map((i) => workerFor(prompt(i), idle));
    for (const worker of range(0, 4)) {
      const share = targets.filter((target) => target === worker).length / targets.length;
      expect(share).toBeGreaterThan(0.17);
      expect(share).toBeLessThan(0.33);
    }
    const rest = [{ worker: 0 }, { worker: 1 }, { worker: 3 }];
    for (const [i, target] of targets.entries()) {
      const now = workerFor(prompt(i), rest);
      if (target === 2) expect(now).not.toBe(2);
      else expect(now).toBe(target);
    }
    const more = range(0, 40).map((worker) => ({ worker }));
    for (const [i, target] of targets.slice(0, 200).entries()) {
      const now = workerFor(prompt(i), more);
      expect(now === target || now > 3).toBe(true);
    }
  });

  /** Choices of 100 prompts if worker 0 has `first` requests and the others have `others` each. */
  function bounded(first: number, others: number, options: { loadSlack?: number } = {}): number[] {
    const own = createPolicy('prefix-hash', options);
    const rows = [{ runningRequests: first }, ...range(0, 3).map(() => ({ runningRequests: others }))];
    return range(0, 100).map((i) => {
      const candidates = candidatesOf(...rows);
      return candidates.worker[own.choose(prompt(i), candidates, new Random(1), null).position]!;
    });
  }

  it('skips a worker with more than 1.25 times the average and more than 10 above it', () => {
    const targets = range(0, 100).map((i) => workerFor(prompt(i), idle));
    expect(targets).toContain(0);
    // (25 + 3 x 9) / 4 = 13: at most max(16.25, 23). (21 + 3 x 9) / 4 = 12: at most max(15, 22).
    const passed = bounded(25, 9);
    expect(passed).not.toContain(0);
    for (const [i, target] of targets.entries()) if (target !== 0) expect(passed[i]).toBe(target);
    expect(bounded(21, 9)).toEqual(targets);
    // (135 + 3 x 95) / 4 = 105: at most max(131.25, 115). (129 + 3 x 97) / 4 = 105.
    expect(bounded(135, 95)).not.toContain(0);
    expect(bounded(129, 97)).toEqual(targets);
  });

  it('has the bound of earlier versions with slack 0', () => {
    // 5 + 1 + 1 + 1 = 8, on average 2: at most 2.5, and 12 with the slack.
    expect(bounded(5, 1)).toContain(0);
    expect(bounded(5, 1, { loadSlack: 0 })).not.toContain(0);
  });

  it('takes the fewest requests for a prompt without a full block', () => {
    const rows = [{ runningRequests: 2 }, { runningRequests: 1 }];
    expect(workerFor(promptRequest([1, 2, 3], 16), rows)).toBe(1);
    expect(workerFor(requestOf(3), rows)).toBe(1);
  });

  it('identifies a request by its first prompt, at the smallest block size of the pool', () => {
    const [first] = prompt(1).prompts;
    const [second] = prompt(2).prompts;
    const target = workerFor(prompt(1), idle);
    expect(workerFor(requestOf(600, [first!, second!]), idle)).toBe(target);
    const coarse = promptRequest(range(1000, 1300), 128).prompts[0]!.hashes;
    const mixed = { isl: 300, hashes: [...coarse, ...first!.hashes] };
    expect(workerFor(requestOf(300, [mixed]), idle)).toBe(target);
  });
});
