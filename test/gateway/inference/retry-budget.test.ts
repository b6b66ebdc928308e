import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RetryBudget } from '../../../src/gateway/inference/retry-budget.ts';

describe('retry budget', () => {
  it('allows some retries when requests are rare', () => {
    const budget = new RetryBudget();
    budget.request(0);
    const taken = Array.from({ length: 12 }, () => budget.take(0));
    expect(taken.filter(Boolean)).toHaveLength(10);
  });

  it('allows a fifth of the requests of the last ten seconds', () => {
    const budget = new RetryBudget();
    for (let i = 0; i < 1000; i++) budget.request(i * 9);
    let taken = 0;
    while (budget.take(9500)) taken += 1;
    expect(taken).toBe(200);
    expect(budget.take(14_000)).toBe(false);
    // The requests and retries have left the window by then.
    expect(budget.take(25_000)).toBe(true);
  });

  it('never exceeds the share that a naive count finds over any ten seconds', () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(700), take: fc.boolean() }), { maxLength: 400 });
    fc.assert(
      fc.property(steps, (list) => {
        const budget = new RetryBudget();
        const requests: number[] = [];
        const retries: number[] = [];
        let nowMs = 0;
        for (const { waitMs, take } of list) {
          nowMs += waitMs;
          const since = Math.floor(nowMs / 1000) - 9;
          const late = (times: number[]): number => times.filter((ms) => Math.floor(ms / 1000) >= since).length;
          if (!take) {
            budget.request(nowMs);
            requests.push(nowMs);
            continue;
          }
          const allowed = late(retries) < Math.max(10, late(requests) * 0.2);
          expect(budget.take(nowMs)).toBe(allowed);
          if (allowed) retries.push(nowMs);
        }
      }),
    );
  });
});
