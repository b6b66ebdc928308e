import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/core/index.ts';
import { accountOf, tokenFates, WorkerAccount } from '../../../src/gateway/engines/prompt-account.ts';

function decisionOf(isl: number, overlapTokens: number, bestOverlapTokens: number, promisedBlocks: number): Decision {
  return {
    policy: 'kv',
    worker: 0,
    reason: 'cost',
    overlapTokens,
    overlapBlocks: 0,
    promisedBlocks,
    bestOverlapTokens,
    uncachedTokens: isl - overlapTokens,
    isl,
    predictedTtftMs: null,
    predictedTpotMs: null,
    predictedPrefillMs: 20,
    candidateCount: 0,
    keptWorkers: 0,
    candidates: () => [],
  };
}

describe('accountOf', () => {
  it.each([
    ['nobody had it', decisionOf(100, 0, 0, 0), 0, { workloadMissTokens: 100 }],
    ['another worker had it', decisionOf(100, 16, 64, 0), 16, { workloadMissTokens: 36, routingMissTokens: 48 }],
    ['we thought wrong', decisionOf(100, 64, 64, 0), 16, { workloadMissTokens: 36, indexMissTokens: 48 }],
    ['a promise came too late', decisionOf(100, 64, 64, 4), 0, { workloadMissTokens: 36, promiseMissTokens: 64 }],
    ['the engine had more', decisionOf(100, 16, 16, 0), 64, { workloadMissTokens: 84, surplusTokens: 48 }],
  ])('%s', (_name, decision, cachedTokens, expected) => {
    const nothing = Object.fromEntries(tokenFates.map((fate) => [fate, 0]));
    expect(accountOf(decision, cachedTokens)).toEqual({ ...nothing, cachedTokens, ...expected });
  });

  it('accounts for every prompt token once, and no miss is negative', () => {
    const request = fc
      .record({ isl: fc.integer({ min: 1, max: 10_000 }), promisedBlocks: fc.nat(10) })
      .chain(({ isl, promisedBlocks }) =>
        fc
          .tuple(fc.nat(isl - 1), fc.nat(isl - 1), fc.nat(isl - 1))
          .map(([a, b, cached]) => ({ isl, promisedBlocks, overlap: Math.min(a, b), best: Math.max(a, b), cached })),
      );
    fc.assert(
      fc.property(fc.array(request, { maxLength: 20 }), (requests) => {
        const worker = new WorkerAccount();
        for (const { isl, promisedBlocks, overlap, best, cached } of requests) {
          const account = accountOf(decisionOf(isl, overlap, best, promisedBlocks), cached);
          const { surplusTokens, ...others } = account;
          expect(Object.values(others).reduce((sum, tokens) => sum + tokens, -surplusTokens)).toBe(isl);
          for (const fate of tokenFates) expect(account[fate]).toBeGreaterThanOrEqual(0);
          expect(worker.add(account)).toBe(Math.abs(overlap - cached));
        }
        expect(worker.checks).toEqual({
          exact: requests.filter(({ overlap, cached }) => overlap === cached).length,
          over: requests.filter(({ overlap, cached }) => overlap > cached).length,
          under: requests.filter(({ overlap, cached }) => overlap < cached).length,
        });
        expect(worker.tokens.cachedTokens).toBe(requests.reduce((sum, { cached }) => sum + cached, 0));
      }),
    );
  });
});
