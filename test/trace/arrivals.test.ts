import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { burstArrivalsMs, poissonArrivalsMs } from '../../src/trace/arrivals.ts';

describe('poissonArrivalsMs', () => {
  it('has the rate and the spread of a Poisson process', () => {
    const arrivalsMs = poissonArrivalsMs(20_000, 12, new Random(1));
    const gaps = arrivalsMs.map((arrivalMs, i) => arrivalMs - (arrivalsMs[i - 1] ?? 0));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(mean).toBeCloseTo(1000 / 12, -1);
    expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1);
    expect(gaps.every((gap) => gap >= 0)).toBe(true);
  });

  it('depends on the seed alone', () => {
    expect(poissonArrivalsMs(50, 3, new Random(7))).toEqual(poissonArrivalsMs(50, 3, new Random(7)));
    expect(poissonArrivalsMs(50, 3, new Random(7))).not.toEqual(poissonArrivalsMs(50, 3, new Random(8)));
  });

  it('refuses a rate of 0', () => {
    for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => poissonArrivalsMs(1, rate, new Random(1))).toThrow(/ratePerS/);
    }
  });
});

describe('burstArrivalsMs', () => {
  it('arrive all at once', () => {
    expect([...burstArrivalsMs(3)]).toEqual([0, 0, 0]);
  });
});
