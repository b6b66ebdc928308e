import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/report/request-record.ts';
import { describeFailures, summarizeRun } from '../../src/report/run-summary.ts';

function record(fields: Partial<RequestRecord>): RequestRecord {
  return {
    index: 0,
    startMs: 0,
    sentMs: 0,
    firstTokenMs: 10,
    endMs: 30,
    gapsMs: Float64Array.of(20),
    outputTokens: 2,
    promptTokens: 100,
    cachedTokens: 40,
    failure: null,
    ...fields,
  };
}

describe('summarizeRun', () => {
  it('counts latencies from the start of each request, and the rate over the makespan', () => {
    const summary = summarizeRun([
      record({ startMs: 1000, sentMs: 1002, firstTokenMs: 1050, endMs: 1250, gapsMs: Float64Array.of(100, 100) }),
      record({ startMs: 2000, sentMs: 2000, firstTokenMs: 2150, endMs: 3000, gapsMs: Float64Array.of(850) }),
    ]);
    expect(summary).toMatchObject({ requests: 2, failed: 0, makespanMs: 2000, requestsPerS: 1, sendLagMsMax: 2 });
    expect(summary.ttftMs).toEqual({ mean: 100, p50: 50, p99: 150 });
    expect(summary.e2eMs).toEqual({ mean: 625, p50: 250, p99: 1000 });
    expect(summary.itlMs).toEqual({ mean: 350, p50: 100, p99: 850 });
    expect(summary).toMatchObject({ promptTokens: 200, cachedTokens: 80, outputTokens: 4 });
  });

  it('counts failures separately from the latencies of the others', () => {
    const summary = summarizeRun([
      record({}),
      record({ firstTokenMs: null, endMs: 5000, failure: { kind: 'timeout', message: 'too long' } }),
    ]);
    expect(summary).toMatchObject({ requests: 2, failed: 1, ttftMs: { mean: 10 }, e2eMs: { mean: 30 } });
    expect(summary.requestsPerS).toBeCloseTo(0.2, 9);
  });

  it('leaves requests without a token out of TTFT only', () => {
    const summary = summarizeRun([record({}), record({ firstTokenMs: null, gapsMs: new Float64Array(0), endMs: 50 })]);
    expect(summary).toMatchObject({ failed: 0, ttftMs: { mean: 10 }, e2eMs: { mean: 40 } });
  });
});

describe('describeFailures', () => {
  it('groups equal reasons, the most frequent first', () => {
    const cut = { kind: 'cut', message: 'gone' } as const;
    const refused = { kind: 'status', message: 'HTTP 503: busy' } as const;
    const records = [record({ failure: cut }), record({ failure: refused }), record({}), record({ failure: refused })];
    expect(describeFailures(records)).toEqual(['2 x status: HTTP 503: busy', '1 x cut: gone']);
  });
});
