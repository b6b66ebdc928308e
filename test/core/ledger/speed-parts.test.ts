// The parts of the speed model against their definitions.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeastSquares } from '../../../src/core/ledger/least-squares.ts';
import { PrefillQueues, type QueuedPrefill } from '../../../src/core/ledger/prefill-queues.ts';
import { PrefillShare, shareOf } from '../../../src/core/ledger/prefill-share.ts';
import { Slowness } from '../../../src/core/ledger/slowness.ts';
import { WorkerTable } from '../../../src/core/ledger/worker-table.ts';

/** Solves the normal equations by elimination. */
function solve(matrix: number[][], right: number[]): number[] {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const factor = rows[j]![i]! / rows[i]![i]!;
      for (let k = i; k <= n; k++) rows[j]![k]! -= factor * rows[i]![k]!;
    }
  }
  const out = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let sum = rows[i]![n]!;
    for (let k = i + 1; k < n; k++) sum -= rows[i]![k]! * out[k]!;
    out[i] = sum / rows[i]![i]!;
  }
  return out;
}

describe('least squares', () => {
  const sample = fc.record({
    x: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 2 }),
    noise: fc.integer({ min: -10, max: 10 }),
    variance: fc.integer({ min: 1, max: 50 }),
  });

  it('equals the exact solution if nothing is forgotten', () => {
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 30 }), (samples) => {
        const prior = [1, -2];
        const errors = [100, 100];
        const fit = new LeastSquares(prior, errors, 1);
        const matrix = [
          [1e-4, 0],
          [0, 1e-4],
        ];
        const right = [1e-4 * prior[0]!, 1e-4 * prior[1]!];
        for (const { x, noise, variance } of samples) {
          // Small errors, so that none counts as an outlier.
          const y = 3 * x[0]! + 2 * x[1]! + (noise / 10) * Math.sqrt(variance);
          fit.learn(Float64Array.from(x), y, variance);
          for (let i = 0; i < 2; i++) {
            right[i]! += (x[i]! * y) / variance;
            for (let j = 0; j < 2; j++) matrix[i]![j]! += (x[i]! * x[j]!) / variance;
          }
        }
        const exact = solve(matrix, right);
        for (let i = 0; i < 2; i++) expect(fit.weights[i]).toBeCloseTo(exact[i]!, 3);
      }),
    );
  });

  it('follows a change, ignores values that are not finite, and stays finite if one direction is never sampled', () => {
    const fit = new LeastSquares([0, 0], [10, 10], 0.98);
    for (let i = 0; i < 20_000; i++) fit.learn(Float64Array.of(1, 1), i < 10_000 ? 5 : 9, 0.1);
    for (const y of [Number.NaN, Number.POSITIVE_INFINITY]) fit.learn(Float64Array.of(1, 1), y, 1);
    fit.learn(Float64Array.of(1, 1), 9, Number.NaN);
    expect(fit.predict(Float64Array.of(1, 1))).toBeCloseTo(9, 1);
    fit.learn(Float64Array.of(1, -1), 4, 0.1);
    expect(Number.isFinite(fit.predict(Float64Array.of(1, 0)))).toBe(true);
  });

  it('moves little at one outlier after learning', () => {
    const fit = new LeastSquares([0], [10], 0.998);
    for (let i = 0; i < 200; i++) fit.learn(Float64Array.of(1), 5, 1);
    fit.learn(Float64Array.of(1), 1e9, 1);
    expect(fit.weights[0]).toBeLessThan(5.2);
  });
});

it('the prefill share equals its definition after any bookings', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ worker: fc.nat(2), tokens: fc.nat(900_000) }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 400 }),
      (bookings, blocks) => {
        const workers = new WorkerTable();
        const share = new PrefillShare(workers);
        for (let w = 0; w < 3; w++) {
          workers.add({ id: `${w}`, blockSize: 16, capacityBlocks: 100 * blocks * (w + 1), source: 'events' });
          share.reset(w);
        }
        const poolTokens = 16 * 100 * blocks * 6;
        const naive = [0, 0, 0];
        for (const { worker, tokens } of bookings) {
          share.booked(worker, tokens, poolTokens);
          const work = Math.min(30, tokens / poolTokens);
          for (let w = 0; w < 3; w++) naive[w]! *= Math.exp(-work);
          naive[worker]! += Math.min(tokens, 30 * poolTokens);
        }
        const loads = naive.map((sum, w) => sum / (16 * 100 * blocks * (w + 1)));
        for (let w = 0; w < 3; w++) expect(share.scaledLoad(w) * share.scale).toBeCloseTo(loads[w]!, 6);
      },
    ),
  );
  expect(shareOf(0.75, 0.25)).toBe(2);
});

it('queues of prefills equal a list of what is booked', () => {
  const step = fc.record({
    worker: fc.nat(1),
    which: fc.nat(6),
    isl: fc.integer({ min: 1, max: 1e6 }),
    add: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queues = new PrefillQueues();
      for (const worker of [0, 1]) queues.reset(worker);
      const listed: [QueuedPrefill[], QueuedPrefill[]] = [[], []];
      for (const { worker, which, isl, add } of steps) {
        const list = listed[worker as 0 | 1];
        if (add) {
          const uncachedTokens = Math.ceil(isl / 3);
          const links = { prefillPairs: 0, queued: false, ahead: null, behind: null };
          const prefill: QueuedPrefill = { worker, order: 0, isl, uncachedTokens, ...links };
          queues.push(prefill, 0);
          list.push(prefill);
        } else if (list[which]) {
          expect(queues.remove(list[which], 0)).toBe(true);
          expect(queues.remove(list[which], 0)).toBe(false);
          list.splice(which, 1);
        }
        expect(queues.heads[worker]).toBe(list[0] ?? null);
        expect(queues.tokens[worker]).toBe(list.reduce((sum, one) => sum + one.uncachedTokens, 0));
        const pairs = list.reduce((sum, one) => {
          const { isl: all, uncachedTokens: u } = one;
          return sum + Math.min(2 ** 41, u * (all - u + u / 2));
        }, 0);
        expect(queues.pairs[worker]).toBeCloseTo(pairs, 0);
      }
    }),
  );
});

describe('slowness', () => {
  it('notices a tenfold slow-down and a recovery within 20 samples', () => {
    const slowness = new Slowness(0.9);
    slowness.reset(0);
    for (let i = 0; i < 50; i++) slowness.sample(0, 100, 100, i);
    for (let i = 0; i < 20; i++) slowness.sample(0, 1000, 100, 50 + i);
    expect(slowness.at(0, 70)).toBeGreaterThan(6);
    for (let i = 0; i < 20; i++) slowness.sample(0, 100, 100, 70 + i);
    expect(slowness.at(0, 90)).toBeLessThan(1.3);
  });

  it('ignores one outlier, and fades without new samples, so that the worker is tried again', () => {
    const slowness = new Slowness(0.9);
    slowness.reset(0);
    for (let i = 0; i < 50; i++) slowness.sample(0, 100, 100, i);
    slowness.sample(0, 1e9, 100, 50);
    expect(slowness.at(0, 50)).toBeLessThan(1.3);
    for (let i = 0; i < 20; i++) slowness.sample(0, 1000, 100, 51 + i);
    expect(slowness.at(0, 70 + 30_000)).toBeLessThan(1.2);
  });

  it('stays finite and above 0 for any samples', () => {
    const number = fc.double();
    fc.assert(
      fc.property(fc.array(fc.tuple(number, number), { maxLength: 50 }), (samples) => {
        const slowness = new Slowness(0.9);
        slowness.reset(0);
        for (const [observed, predicted] of samples) slowness.sample(0, observed, predicted, 0);
        const at = slowness.at(0, 1);
        expect(Number.isFinite(at) && at > 0).toBe(true);
        expect(slowness.uncertainty(0)).toBeGreaterThanOrEqual(0);
        expect(slowness.uncertainty(0)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
