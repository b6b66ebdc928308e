import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imbalance } from '../../src/report/imbalance.ts';
import { quantile, summarize } from '../../src/report/summary.ts';

describe('quantile', () => {
  it('is the smallest sample that a share q of the samples does not exceed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 50 }),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (samples, q) => {
          const candidates = samples.filter((x) => samples.filter((y) => y <= x).length >= q * samples.length);
          expect(quantile(Float64Array.from(samples).sort(), q)).toBe(Math.min(...candidates));
        },
      ),
    );
  });

  it('takes the extremes at 0 and 1', () => {
    const sorted = Float64Array.of(3, 4, 9);
    expect([quantile(sorted, 0), quantile(sorted, 1)]).toEqual([3, 9]);
    expect(() => quantile(sorted, 2)).toThrow(RangeError);
  });
});

describe('summarize', () => {
  it('is exact on 1 .. 200', () => {
    const samples = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(summarize(samples)).toEqual({ mean: 100.5, p50: 100, p99: 198 });
  });

  it('does not change its argument', () => {
    const samples = [3, 1, 2];
    expect(summarize(samples).p50).toBe(2);
    expect(samples).toEqual([3, 1, 2]);
  });

  it('has no figures without samples', () => {
    expect(summarize([])).toEqual({ mean: NaN, p50: NaN, p99: NaN });
  });
});

describe('imbalance', () => {
  it('is the largest value over the mean', () => {
    expect(imbalance([2, 4, 6])).toEqual({ max: 6, mean: 4, maxOverMean: 1.5 });
  });

  it('is 1 if all values are 0', () => {
    expect(imbalance([0, 0]).maxOverMean).toBe(1);
    expect(() => imbalance([])).toThrow(RangeError);
  });
});
