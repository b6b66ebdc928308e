import { describe, expect, it } from 'vitest';
import { spreadOf, workloadStatistics } from '../../src/trace/statistics.ts';
import { noBlocks, type Workload } from '../../src/trace/workload.ts';

const workload: Workload = {
  name: 'test',
  contentBlockTokens: 10,
  blockIdCount: 2,
  requests: [
    { arrivalMs: 0, isl: 20, osl: 2, blockIds: Int32Array.of(0, 1), session: 0 },
    { arrivalMs: 100, isl: 40, osl: 4, blockIds: Int32Array.of(0, 1), session: 0, after: { request: 0, thinkMs: 5 } },
    { arrivalMs: 400, isl: 30, osl: 6, blockIds: Int32Array.of(0), session: 1 },
    { arrivalMs: 500, isl: 10, osl: 8, blockIds: noBlocks },
  ],
  notes: [],
};

describe('workloadStatistics', () => {
  it('summarizes lengths, arrivals and sharing', () => {
    expect(workloadStatistics(workload, 10)).toEqual({
      requests: 4,
      sessions: 2,
      closedLoopRequests: 1,
      islTokens: { mean: 25, p50: 20, p99: 40, max: 40, cv: Math.sqrt(125) / 25 },
      oslTokens: { mean: 5, p50: 4, p99: 8, max: 8, cv: Math.sqrt(5) / 5 },
      interArrivalMs: { mean: 500 / 3, p50: 100, p99: 300, max: 300, cv: expect.closeTo(Math.SQRT1_2 * 0.8, 12) },
      spanMs: 500,
      ratePerS: 6,
      contentBlockTokens: 10,
      promptTokens: 100,
      uniqueTokens: 70,
      infiniteCacheHitRate: 0.3,
      infiniteCacheHitRateSecondHalf: 0.25,
      pooledLruHitRate: 0.2,
    });
  });

  it('has no rate if all requests arrive at once', () => {
    const requests = workload.requests.slice(2).map((request) => ({ ...request, arrivalMs: 0 }));
    const { ratePerS, interArrivalMs } = workloadStatistics({ ...workload, requests }, 10);
    expect(ratePerS).toBeNaN();
    expect(interArrivalMs.max).toBe(0);
  });
});

describe('spreadOf', () => {
  it('takes quantiles by nearest rank', () => {
    const { p50, p99, max } = spreadOf(Array.from({ length: 200 }, (_, i) => i + 1));
    expect([p50, p99, max]).toEqual([100, 198, 200]);
  });

  it('is not a number without samples', () => {
    expect(spreadOf([])).toEqual({ mean: NaN, p50: NaN, p99: NaN, max: NaN, cv: NaN });
  });
});
