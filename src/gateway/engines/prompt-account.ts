// Accounts for a prompt's tokens: found in the engine's cache, or missed, and for which reason.
//
// prompt = cached + workload miss + routing miss + promise miss + index miss - surplus, in tokens.

import type { Decision } from '../../core/index.ts';
import { TrafficFindings } from './traffic-findings.ts';

/** One request, in tokens. */
export interface PromptAccount {
  /** Found in the engine's cache, as it reports. */
  readonly cachedTokens: number;
  /** Held by no candidate, as far as known. */
  readonly workloadMissTokens: number;
  /** Held by another candidate, or promised to it. */
  readonly routingMissTokens: number;
  /** Promised to the chosen worker by requests in flight, but not there in time. */
  readonly promiseMissTokens: number;
  /** In the index for the chosen worker, but not in the engine's cache. */
  readonly indexMissTokens: number;
  /** In the engine's cache, but unknown to the router. */
  readonly surplusTokens: number;
}

export type TokenFate = keyof PromptAccount;

export const tokenFates: readonly TokenFate[] = [
  'cachedTokens',
  'workloadMissTokens',
  'routingMissTokens',
  'promiseMissTokens',
  'indexMissTokens',
  'surplusTokens',
];

/** Whether the engine's cached tokens matched the prediction. */
export type OverlapCheck = 'exact' | 'over' | 'under';

/** @param decision for a prompt whose length the engine confirms @param cachedTokens as the engine reports them */
export function accountOf(decision: Decision, cachedTokens: number): PromptAccount {
  const { isl, overlapTokens, bestOverlapTokens, promisedBlocks } = decision;
  const overTokens = Math.max(0, overlapTokens - cachedTokens);
  const promised = promisedBlocks > 0;
  return {
    cachedTokens,
    workloadMissTokens: isl - bestOverlapTokens,
    routingMissTokens: bestOverlapTokens - overlapTokens,
    promiseMissTokens: promised ? overTokens : 0,
    indexMissTokens: promised ? 0 : overTokens,
    surplusTokens: Math.max(0, cachedTokens - overlapTokens),
  };
}

/** Totals of one worker since it joined. */
export class WorkerAccount {
  readonly tokens: Record<TokenFate, number> = {
    cachedTokens: 0,
    workloadMissTokens: 0,
    routingMissTokens: 0,
    promiseMissTokens: 0,
    indexMissTokens: 0,
    surplusTokens: 0,
  };
  readonly checks: Record<OverlapCheck, number> = { exact: 0, over: 0, under: 0 };
  /** Prompts whose tokens the engine counted differently: its tokenizer or chat template differs. */
  tokenMismatches = 0;
  readonly findings: TrafficFindings = new TrafficFindings();

  /** Latest predictions in a row that were right. */
  agreeing = 0;

  /** @returns by how many tokens the prediction was wrong */
  add(account: PromptAccount): number {
    for (const fate of tokenFates) this.tokens[fate] += account[fate];
    const overTokens = account.promiseMissTokens + account.indexMissTokens;
    const check = overTokens > 0 ? 'over' : account.surplusTokens > 0 ? 'under' : 'exact';
    this.checks[check] += 1;
    this.agreeing = check === 'exact' ? this.agreeing + 1 : 0;
    return overTokens + account.surplusTokens;
  }
}
