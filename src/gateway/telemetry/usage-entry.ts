// The tokens that attempts have used, as they are counted and billed.

import type { Outcome } from '../../core/index.ts';

/** Tokens of one attempt, or of several. */
export interface UsageEntry {
  /** Empty: there is no key. */
  readonly tenant: string;
  /** Name of the API key; null: there is none. */
  readonly key: string | null;
  readonly model: string;
  readonly requestId: string | null;
  readonly requests: number;
  readonly promptTokens: number;
  /** Of the prompt's; null: the engine does not say. */
  readonly cachedTokens: number | null;
  readonly outputTokens: number;
  /**
   * `engine`: the engine's own usage. `gateway`: counted here, since the engine has not reported one. `caller`: of a
   * reservation, as its caller has reported.
   */
  readonly source: 'engine' | 'gateway' | 'caller';
  readonly outcome: Outcome;
}
