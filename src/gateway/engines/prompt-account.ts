// What became of a prompt's tokens in the engine's cache, and whose doing each miss was.
//
// prompt = cached + workload miss + routing miss + promise miss + index miss - surplus, in tokens.

import type { Decision } from '../../core/index.ts';
import { TrafficFindings } from './traffic-findings.ts';

/** Of one request, in tokens. */
export interface PromptAccount {
  /** The engine found them in its cache, as it says itself. */
  readonly cachedTokens: number;
  /** No candidate was known to hold them. */
  readonly workloadMissTokens: number;
  /** Another candidate held them, or was promised them. */
  readonly routingMissTokens: number;
  /** Requests in flight had promised them to the chosen worker, and they were not there in time. */
  readonly promiseMissTokens: number;
  /** The index had them on the chosen worker, and the engine had not. */
  readonly indexMissTokens: number;
  /** The engine had them, and the router did not know. */
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

/** Whether the engine's cached tokens were as predicted at the choice. */
export type OverlapCheck = 'exact' | 'over' | 'under';

/** @param decision of a prompt whose length the engine confirms @param cachedTokens as the engine reports them */
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
  /** Prompts of which the engine counted other tokens than the gateway: its tokenizer or its template is another one. */
  tokenMismatches = 0;
  readonly findings: TrafficFindings = new TrafficFindings();

  /** Predictions in a row, up to now, that were right. */
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
