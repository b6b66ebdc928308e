import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogHistogram } from '../../src/report/log-histogram.ts';
import { quantile } from '../../src/report/summary.ts';

const values = fc.array(
  fc.oneof(
    fc.double({ min: 0, max: 2, noNaN: true }),
    fc.double({ min: 0, max: 1e4, noNaN: true }),
    fc.double({ min: 0, max: 4e7, noNaN: true }),
  ),
  { minLength: 1, maxLength: 300 },
);

function filled(samples: readonly number[], resolution = 0.01): LogHistogram {
  const histogram = new LogHistogram(resolution);
  for (const sample of samples) histogram.record(sample);
  return histogram;
}

describe('LogHistogram', () => {
  it('returns every quantile within its stated error', () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (samples, q) => {
        const exact = quantile(Float64Array.from(samples).sort(), q);
        const error = Math.abs(filled(samples).quantile(q) - exact);
        expect(error).toBeLessThanOrEqual(exact * LogHistogram.relativeErrorMax + 0.005 * 1.01);
      }),
      { numRuns: 500 },
    );
  });

  it('counts whole units below 128 exactly', () => {
    const histogram = filled([0, 1, 1, 5, 127], 1);
    expect([0, 0.2, 0.5, 0.8, 1].map((q) => histogram.quantile(q))).toEqual([0, 0, 1, 5, 127]);
  });

  it('merges into the histogram of all values', () => {
    fc.assert(
      fc.property(values, values, (left, right) => {
        const merged = filled(left);
        merged.merge(filled(right));
        const whole = filled([...left, ...right]);
        expect(merged.count).toBe(whole.count);
        expect(merged.sum).toBeCloseTo(whole.sum, 3);
        expect([merged.min, merged.max]).toEqual([whole.min, whole.max]);
        for (const q of [0, 0.1, 0.5, 0.9, 0.99, 1]) expect(merged.quantile(q)).toBe(whole.quantile(q));
      }),
    );
  });

  it('keeps count, mean, minimum and maximum exact', () => {
    const histogram = filled([0.123, 10, 1000.5]);
    expect(histogram.count).toBe(3);
    expect(histogram.mean).toBeCloseTo(336.874333, 6);
    expect([histogram.min, histogram.max]).toEqual([0.123, 1000.5]);
  });

  it('clamps values above its range, and counts them', () => {
    const histogram = filled([1, 1e12], 1);
    expect(histogram.clamped).toBe(1);
    expect(histogram.max).toBe(1e12);
    expect(histogram.quantile(1)).toBeGreaterThan(histogram.valueMax * (1 - LogHistogram.relativeErrorMax));
  });

  it('has no quantiles while empty', () => {
    const histogram = new LogHistogram(1);
    expect([histogram.quantile(0.5), histogram.mean, histogram.min, histogram.max]).toEqual([NaN, NaN, NaN, NaN]);
  });

  it("refuses values that it can't count", () => {
    const histogram = new LogHistogram(1);
    expect(() => histogram.record(-1)).toThrow(RangeError);
    expect(() => histogram.record(Number.NaN)).toThrow(RangeError);
    expect(() => histogram.quantile(1.1)).toThrow(RangeError);
    expect(() => histogram.merge(new LogHistogram(2))).toThrow(/resolution/);
    expect(() => new LogHistogram(0)).toThrow(/resolution/);
  });
});
