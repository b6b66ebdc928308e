// The terms of a decision's cost for people: computed again from the candidates' columns, and shown only if they agree.

import type { CandidateCost } from '../../core/index.ts';
import type { CostTerm } from './decision-data.ts';

export interface AskedOf {
  readonly isl: number;
  readonly all: readonly CandidateCost[];
}

/** The terms of one candidate, in the order of the formula. */
type Terms = (candidate: CandidateCost, asked: AskedOf) => CostTerm[];

interface CostFormula {
  readonly unit: string;
  readonly terms: Terms;
}

const sum = (name: string, label: string, value: number, unit: string): CostTerm => ({
  ...{ name, label, kind: 'sum', value, unit },
});
const factor = (name: string, label: string, value: number, unit = 'x'): CostTerm => ({
  ...{ name, label, kind: 'factor', value, unit },
});

/** With the default options of each policy; its file in `core/policies` explains the formula. */
const formulas: Readonly<Record<string, CostFormula>> = {
  foresee: {
    unit: 'ms x blocks',
    terms: (candidate, { isl, all }) => {
      const { backlogMs, prefillMs, prefillShare, activeBlocks, newBlocks, blockSize } = candidate;
      const { runningRequests, kvUsage, slowness, affinityTokens, uncachedTokens } = candidate;
      const meanBacklogS = all.reduce((total, one) => total + one.backlogMs, 0) / all.length / 1000;
      const weight = 1 + Math.min(16, 4 * meanBacklogS);
      const blocks = ((activeBlocks + newBlocks) * blockSize + 0.3 * runningRequests * isl) / 16 + 1;
      const credit = affinityTokens > 0 ? (affinityTokens / Math.max(1, uncachedTokens)) * prefillMs : 0;
      return [
        sum('backlog', 'prefill queued before it', backlogMs, 'ms'),
        sum('prefill', 'its own prefill, weighted by how scarce prefill is', weight * prefillShare * prefillMs, 'ms'),
        ...(credit > 0 ? [sum('affinity', "credit of the session's last worker", -credit, 'ms')] : []),
        factor('blocks', 'blocks in use and new, requests in flight', blocks, 'blocks of 16'),
        factor('capacity', 'KV cache nearly full', 1 / Math.max(0.05, Math.min(1, (1 - kvUsage) / 0.1))),
        factor('slowness', 'slower than its pool', Math.sqrt(slowness)),
      ];
    },
  },
  kv: {
    unit: 'tokens',
    terms: (candidate) => {
      const { activePrefillTokens, uncachedTokens, activeBlocks, newBlocks, blockSize, affinityTokens } = candidate;
      return [
        sum('queued', 'prefill tokens queued before it', activePrefillTokens, 'tokens'),
        sum('uncached', 'its tokens to compute', uncachedTokens, 'tokens'),
        sum('active', 'tokens of the blocks in use', activeBlocks * blockSize, 'tokens'),
        sum('new', 'tokens of its new blocks', newBlocks * blockSize, 'tokens'),
        ...(affinityTokens > 0
          ? [sum('affinity', "credit of the session's last worker", -affinityTokens, 'tokens')]
          : []),
      ];
    },
  },
  dynamo: {
    unit: 'blocks',
    terms: (candidate, { isl }) => {
      const { activePrefillTokens, blockSize, overlapBlocks, activeBlocks, ownBlocks, newBlocks, newOwnBlocks } =
        candidate;
      const prefill = Math.max(0, (activePrefillTokens + isl) / blockSize - overlapBlocks);
      return [
        sum('prefill', 'prefill queued and new, minus the overlap', prefill, 'blocks'),
        sum('active', 'prompt blocks in use', activeBlocks - ownBlocks, 'blocks'),
        sum('new', 'new prompt blocks', newBlocks - newOwnBlocks, 'blocks'),
      ];
    },
  },
  lmetric: {
    unit: 'tokens x requests',
    terms: ({ activePrefillTokens, uncachedTokens, runningRequests }) => [
      sum('queued', 'prefill tokens queued before it', activePrefillTokens, 'tokens'),
      sum('uncached', 'its tokens to compute', uncachedTokens, 'tokens'),
      factor('requests', 'requests in flight, and this one', runningRequests + 1, 'requests'),
    ],
  },
  lpwl: {
    unit: 'tokens',
    terms: ({ activePrefillTokens, uncachedTokens }) => [
      sum('queued', 'prefill tokens queued before it', activePrefillTokens, 'tokens'),
      sum('uncached', 'its tokens to compute', uncachedTokens, 'tokens'),
    ],
  },
};

/** Rounding of the formula's order of operations. */
const agreement = 1e-6;

export function costUnitOf(policy: string): string {
  return formulas[policy]?.unit ?? 'of its own';
}

/** Sums the terms, then applies the factors. */
export function costOf(terms: readonly CostTerm[]): number {
  let cost = 0;
  for (const { kind, value } of terms) cost = kind === 'sum' ? Math.max(0, cost + value) : cost * value;
  return cost;
}

/**
 * Terms of each candidate. All are empty if the policy has no formula here, or if it does not give the costs of the
 * decision: the request may have had weights of its own.
 */
export function termsOf(policy: string, asked: AskedOf): CostTerm[][] {
  const formula = formulas[policy];
  const terms = asked.all.map((candidate) => formula?.terms(candidate, asked) ?? []);
  const agrees = asked.all.every(({ cost }, i) => {
    const again = costOf(terms[i]!);
    return Math.abs(again - cost) <= agreement * Math.max(1, Math.abs(cost)) || !Number.isFinite(cost);
  });
  return agrees ? terms : asked.all.map(() => []);
}
