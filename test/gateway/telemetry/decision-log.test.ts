import { describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/core/index.ts';
import type { WorkerTrust } from '../../../src/gateway/feeds/worker-trust.ts';
import { DecisionLog, DecisionRecord } from '../../../src/gateway/telemetry/decision-log.ts';

const decision: Decision = {
  policy: 'kv',
  worker: 0,
  reason: 'only',
  overlapTokens: 0,
  overlapBlocks: 0,
  promisedBlocks: 0,
  bestOverlapTokens: 0,
  uncachedTokens: 1,
  isl: 1,
  predictedTtftMs: null,
  predictedTpotMs: null,
  predictedPrefillMs: 20,
  candidateCount: 0,
  keptWorkers: 0,
  candidates: () => [],
};

const trust: WorkerTrust = { kind: 'degraded', reason: 'no-batches', detail: 'no batch' };

const record = (requestId: string, attempt = 1): DecisionRecord =>
  new DecisionRecord(
    {
      requestId,
      timeMs: 0,
      model: 'm',
      pool: 'm',
      route: null,
      worker: 'w',
      workerClientId: 'e#0',
      attempt,
      decision,
      known: 'tokens',
      trust,
      slo: null,
    },
    new Map(),
  );

const ids = (log: DecisionLog): string[] => log.records().map(({ requestId }) => requestId);

describe('DecisionLog', () => {
  it('keeps the last records, newest first', () => {
    const log = new DecisionLog(3);
    for (const [count, id] of ['a', 'b', 'c', 'd', 'e'].entries()) {
      log.add(record(id));
      expect(ids(log)).toHaveLength(Math.min(count + 1, 3));
    }
    expect(ids(log)).toEqual(['e', 'd', 'c']);
  });

  it('finds all attempts of a request', () => {
    const log = new DecisionLog(10);
    log.add(record('a', 1));
    log.add(record('b', 1));
    log.add(record('a', 2));
    expect(log.ofRequest('a').map(({ attempt }) => attempt)).toEqual([2, 1]);
    expect(log.ofRequest('c')).toEqual([]);
  });

  it('keeps no records if its limit is 0', () => {
    const log = new DecisionLog(0);
    log.add(record('a'));
    expect(log.records()).toEqual([]);
  });
});
