// The bench of TTFT predictions runs at a small size, and its figures match their definitions.

import { expect, it } from 'vitest';
import { figuresOf, measurePrediction } from '../../bench/ttft-prediction.ts';

it('compares every stream after the warm-up', async () => {
  const figures = await measurePrediction({
    policy: 'foresee',
    workers: 2,
    speedup: 20,
    requests: 30,
    warmUpRequests: 10,
    ratePerS: 60,
    outputTokens: 2,
    seed: 3,
  });
  expect(figures).toMatchObject({ compared: 20, failed: 0 });
  expect(figures.mape).toBeGreaterThan(0);
  // Sums of floats: if all errors have one sign, the two differ by rounding alone.
  expect(figures.mape).toBeGreaterThan(Math.abs(figures.bias) - 1e-9);
  expect(figures.meanTtftMs).toBeGreaterThan(0);
});

it('has errors relative to the actual time', () => {
  const pairs = [
    { predicted: 150, actual: 100 },
    { predicted: 50, actual: 100 },
    { predicted: 220, actual: 200 },
  ];
  const { compared, mape, bias, medianError } = figuresOf(pairs);
  expect([compared, medianError]).toEqual([3, 0.5]);
  expect(mape).toBeCloseTo((0.5 + 0.5 + 0.1) / 3, 12);
  expect(bias).toBeCloseTo(0.1 / 3, 12);
});
