// Progress of a long experiment, and its limit on concurrent jobs.

import { describe, expect, it } from 'vitest';
import { ExperimentProgress, mapWidth } from '../../src/cli/lab-experiment.ts';
import { Progress } from '../../src/report/progress.ts';

describe('ExperimentProgress', () => {
  it('estimates the remaining time from executed jobs, not from stored ones', () => {
    let nowMs = 0;
    const lines: string[] = [];
    const line = new Progress({ write: (text) => lines.push(text.trim()) }, () => nowMs);
    const progress = new ExperimentProgress(line, () => nowMs);
    progress.expect(10);
    progress.done('zipf, kv', true);
    nowMs = 30_000;
    progress.done('zipf, lmetric', false);
    nowMs = 60_000;
    progress.expect(-4);
    progress.done('zipf, dynamo', false);
    expect(lines).toEqual([
      '1 of 10 jobs: zipf, kv',
      '2 of 10 jobs, about 4 min left: zipf, lmetric',
      '3 of 6 jobs, about 90 s left: zipf, dynamo',
    ]);
  });
});

describe('mapWidth', () => {
  it('keeps the order and the limit on concurrent jobs', async () => {
    let atWork = 0;
    let most = 0;
    const results = await mapWidth([5, 1, 4, 2, 3], 2, async (item) => {
      most = Math.max(most, ++atWork);
      for (let turn = 0; turn < item; turn++) await Promise.resolve();
      atWork--;
      return item * 10;
    });
    expect(results).toEqual([50, 10, 40, 20, 30]);
    expect(most).toBe(2);
    await expect(mapWidth([1], 3, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
