// Samples of load at equal distances, however long the run.

import { describe, expect, it } from 'vitest';
import { LoadSeries } from '../../src/lab/load-series.ts';

describe('LoadSeries', () => {
  it('samples the values between two changes', () => {
    const series = new LoadSeries(2);
    series.sampleTo(0.25e9, (worker) => ({ unfinished: worker + 1, kvUsage: 0.5 }));
    series.sampleTo(0.31e9, () => ({ unfinished: 0, kvUsage: 0 }));
    expect(series.data()).toEqual({
      timesS: [0, 0.1, 0.2, 0.3],
      unfinished: [
        [1, 1, 1, 0],
        [2, 2, 2, 0],
      ],
      kvUsage: [
        [0.5, 0.5, 0.5, 0],
        [0.5, 0.5, 0.5, 0],
      ],
    });
    expect(series.nextNs).toBe(0.4e9);
  });

  it.each([1, 7, 60, 3600])('keeps equal distances and a bounded number of samples over %d s', (seconds) => {
    const series = new LoadSeries(1);
    for (let nowNs = 0; nowNs <= seconds * 1e9; nowNs += seconds * 1e7) {
      const unfinished = Math.floor(nowNs / 1e9);
      if (series.nextNs < nowNs) series.sampleTo(nowNs, () => ({ unfinished, kvUsage: 0 }));
    }
    const { timesS, unfinished } = series.data();
    expect(timesS.length).toBeLessThan(LoadSeries.samplesMax);
    expect(timesS.length).toBeGreaterThanOrEqual(Math.min(10, seconds * 10));
    const gapS = timesS[1]!;
    for (const [at, timeS] of timesS.entries()) {
      expect(timeS).toBeCloseTo(at * gapS, 9);
      expect(Math.abs(unfinished[0]![at]! - timeS)).toBeLessThanOrEqual(1 + seconds / 100);
    }
    expect(timesS.at(-1)! + gapS).toBeGreaterThanOrEqual(seconds - 1e-9);
  });
});
