// What a scheduler needs of an engine's KV memory: room for sequences, content found again, events of what changed.

import type { KvEvent } from '../core/types.ts';
import type { EngineRequest } from './engine-request.ts';

export const cacheKinds = ['blocks', 'radix'] as const;
/** `blocks`: vLLM's pool, see block-cache.ts. `radix`: SGLang's tree, see radix-cache.ts. */
export type CacheKind = (typeof cacheKinds)[number];

/**
 * Calls for a request come in this order: `match` and `admit`, then for each of its steps `hold`, `scheduled` and, when
 * the step is over, `computed`; at last `finish` or `release`. A block is a run of tokens of one size, SGLang's page.
 */
export interface PrefixCache {
  /** Share of the blocks that are in use, 0 .. 1; what is only kept for later hits is not. */
  readonly usage: number;
  /** Leading tokens that are cached, in whole blocks; one at least stays to be computed. Holds nothing. */
  match(request: EngineRequest): number;
  /**
   * Makes the request hold the `hitTokens` that `match` has just found.
   * @returns false, and nothing is done, if there is no room for the first `wantedTokens`, hits included
   */
  admit(request: EngineRequest, hitTokens: number, wantedTokens: number): boolean;
  /** Makes the request hold room for its next `tokens` tokens; false, and nothing is done, if there is none. */
  hold(request: EngineRequest, tokens: number): boolean;
  /** The request's `computedTokens` include the current step. */
  scheduled(request: EngineRequest): void;
  /** The step is over. */
  computed(request: EngineRequest): void;
  /** It has ended: what it holds may be hit by others, and goes when room is needed. */
  finish(request: EngineRequest): void;
  /** It has lost its place, and will be computed again. */
  release(request: EngineRequest): void;
  /** Drops all content. Refused (false) while any block is in use. */
  clear(): boolean;
  /** Everything announced since the last call. */
  takeEvents(): KvEvent[];
  /** The hash (low, high) of every block that holds content, one entry a copy. */
  contents(): [low: number, high: number][];
  /** @throws Error if blocks are lost or counted twice */
  assertConsistent(running: readonly EngineRequest[]): void;
}
