// The truth ledger against a naive twin that keeps every record, and adds up what it is asked for.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TruthLedger } from '../../../src/gateway/page/truth-ledger.ts';
import type { DecisionRecord } from '../../../src/gateway/telemetry/decision-log.ts';

const misses = ['workloadMissTokens', 'routingMissTokens', 'promiseMissTokens', 'indexMissTokens'] as const;
const tokens = fc.nat(5000);
const account = fc.record({
  ...{ cachedTokens: tokens, surplusTokens: tokens },
  ...{ workloadMissTokens: tokens, routingMissTokens: tokens, promiseMissTokens: tokens, indexMissTokens: tokens },
});
type Account = (typeof account extends fc.Arbitrary<infer T> ? T : never) | null;

function record(fates: Account): DecisionRecord {
  const promptTokens = fates === null ? 100 : 1 + misses.reduce((sum, miss) => sum + fates[miss], fates.cachedTokens);
  const decision = { isl: promptTokens, overlapTokens: fates?.cachedTokens ?? 0 };
  const usage = { promptTokens, cachedTokens: fates?.cachedTokens ?? 0 };
  return { usage, decision, account: fates, known: 'tokens', outcome: 'done' } as unknown as DecisionRecord;
}

it('counts misses by kind in each second, in each ten, and since the start', () => {
  const seconds = fc.array(fc.array(fc.option(account), { maxLength: 3 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(seconds, (arrivals) => {
      const ledger = new TruthLedger();
      for (const [second, ended] of arrivals.entries()) {
        for (const fates of ended) ledger.ended(record(fates));
        ledger.sample(1000 * (second + 1));
      }
      const sumOf = (ended: readonly Account[], miss: (typeof misses)[number]): number =>
        ended.reduce((sum, fates) => sum + (fates?.[miss] ?? 0), 0);
      const expected = (points: readonly (readonly Account[])[], miss: (typeof misses)[number]): (number | null)[] =>
        points.map((ended) => (ended.length === 0 ? null : sumOf(ended, miss)));
      const tens = Array.from({ length: Math.floor(arrivals.length / 10) }, (_, at) =>
        arrivals.slice(10 * at, 10 * at + 10).flat(),
      );
      for (const miss of misses) {
        expect(ledger.series('fine').misses[miss]).toEqual(expected(arrivals, miss));
        expect(ledger.series('coarse').misses[miss]).toEqual(expected(tens, miss));
        expect(ledger.totals()[miss]).toBe(sumOf(arrivals.flat(), miss));
      }
    }),
  );
});

it('predicts hit rates of all requests, and says of how many the engines told theirs', () => {
  const ledger = new TruthLedger();
  expect([ledger.hitRate(60), ledger.predictedHitRate(60), ledger.toldShare(60)]).toEqual([null, null, null]);
  const decision = { isl: 100, overlapTokens: 80 };
  const silent = {
    usage: null,
    decision,
    account: null,
    known: 'tokens',
    outcome: 'done',
  } as unknown as DecisionRecord;
  for (let i = 0; i < 3; i++) ledger.ended(silent);
  ledger.sample(1000);
  expect([ledger.hitRate(60), ledger.predictedHitRate(60), ledger.toldShare(60)]).toEqual([null, 0.8, 0]);
  ledger.ended({ ...silent, usage: { promptTokens: 100, cachedTokens: 20 } } as DecisionRecord);
  ledger.ended({ ...silent, outcome: 'failed' } as DecisionRecord);
  ledger.sample(2000);
  expect([ledger.hitRate(60), ledger.predictedHitRate(60), ledger.toldShare(60)]).toEqual([0.2, 0.8, 0.25]);
});
