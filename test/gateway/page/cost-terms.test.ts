import { describe, expect, it } from 'vitest';
import { BlockHasher, createPolicy, type PolicyName, Router } from '../../../src/core/index.ts';
import { costOf, termsOf } from '../../../src/gateway/page/cost-terms.ts';
import { whyOf } from '../../../src/gateway/page/why.ts';

const explained: readonly PolicyName[] = ['foresee', 'kv', 'dynamo', 'lmetric', 'lpwl'];

/** Decisions of a router under load, some of whose requests end. */
function decisionsOf(policy: PolicyName) {
  const router = new Router({ policy: createPolicy(policy), seed: 1 });
  for (let i = 0; i < 3; i++) {
    router.addWorker({ id: `w${i}`, blockSize: 16, capacityBlocks: 120, source: 'approximate' });
  }
  const hasher = new BlockHasher();
  return Array.from({ length: 60 }, (_, i) => {
    const tokens = Uint32Array.from({ length: 100 + 40 * (i % 5) }, (_, at) => (at < 64 ? i % 4 : i) + 1);
    const root = hasher.root(16, { lora: null, salt: null });
    const count = Math.floor(tokens.length / 16);
    const sequence = hasher.chain(tokens, count, 16, root);
    const prompt = { isl: tokens.length, hashes: [{ blockSize: 16, blockTokens: 16, count, sequence }] };
    const routed = router.route({ prompts: [prompt] }, 10 * i);
    if (routed.kind !== 'routed') throw new Error('not routed');
    for (const booking of routed.bookings) {
      if (i % 3 === 0) router.firstToken(booking, 10 * i + 7);
      if (i % 4 === 0) router.release(booking, 'done', 10 * i + 9);
    }
    return routed.decision;
  });
}

describe('the terms of a cost', () => {
  it.each(explained)('give the cost of %s for every candidate', (policy) => {
    for (const { isl, candidates } of decisionsOf(policy).map((one) => ({
      isl: one.isl,
      candidates: one.candidates(),
    }))) {
      const terms = termsOf(policy, { isl, all: candidates });
      for (const [i, { cost }] of candidates.entries()) {
        expect(terms[i]!.length).toBeGreaterThan(0);
        expect(costOf(terms[i]!)).toBeCloseTo(cost, 4);
      }
    }
  });

  it('are left out where they do not give the cost, or the policy has none', () => {
    const [decision] = decisionsOf('kv');
    const all = decision!.candidates();
    expect(termsOf('kv', { isl: decision!.isl, all: all.map((one) => ({ ...one, cost: one.cost + 1 })) })).toEqual([
      [],
      [],
      [],
    ]);
    expect(termsOf('power-of-two', { isl: decision!.isl, all: all.map((one) => ({ ...one, cost: 0 })) })).toEqual([
      [],
      [],
      [],
    ]);
  });
});

describe('why a decision fell as it did', () => {
  it('names what the worker held, what waited there, and the next best', () => {
    const decision = decisionsOf('kv').find(({ overlapTokens, reason }) => overlapTokens > 0 && reason === 'cost')!;
    const why = whyOf(decision, decision.candidates(), (worker) => `w${worker}`);
    expect(why).toMatch(/^It had the lowest cost of 3 candidates\. It held \d+ % of the prompt/);
    expect(why).toMatch(/in flight/);
    expect(why).toMatch(/The next best, w\d, would have cost/);
  });
});
