// Interface between the scheduler and a KV cache: space for sequences, prefix hits, and KV events.

import type { KvEvent } from '../core/types.ts';
import type { EngineRequest } from './engine-request.ts';

export const cacheKinds = ['blocks', 'radix'] as const;
/** `blocks`: vLLM's pool, see block-cache.ts. `radix`: SGLang's tree, see radix-cache.ts. */
export type CacheKind = (typeof cacheKinds)[number];

/**
 * Order of calls for a request: `match` and `admit`; then `hold`, `scheduled` and, at the end of the step, `computed`
 * for each of its steps; finally `finish` or `release`. A block has a fixed number of tokens (SGLang: a page).
 */
export interface PrefixCache {
  /** Share of the blocks in use, 0 .. 1. Blocks kept only for later hits are not in use. */
  readonly usage: number;
  /** Leading cached tokens, in whole blocks. At least one token is left to compute. Takes no blocks. */
  match(request: EngineRequest): number;
  /**
   * Takes the blocks of the `hitTokens` that `match` has just found.
   * @returns false, without effect, if there is no space for the first `wantedTokens`, hits included
   */
  admit(request: EngineRequest, hitTokens: number, wantedTokens: number): boolean;
  /** Reserves space for the request's next `tokens` tokens. Returns false, without effect, if there is none. */
  hold(request: EngineRequest, tokens: number): boolean;
  /** The request is in the current step, which `computedTokens` includes already. */
  scheduled(request: EngineRequest): void;
  /** The step is over. */
  computed(request: EngineRequest): void;
  /** The request has ended. Its blocks may be hit by others and are evicted when space is needed. */
  finish(request: EngineRequest): void;
  /** The request was preempted and will be computed again. */
  release(request: EngineRequest): void;
  /** Drops all content. Returns false, without effect, while any block is in use. */
  clear(): boolean;
  /** KV events since the last call. */
  takeEvents(): KvEvent[];
  /** The hash (low, high) of every block that holds content, one entry per copy. */
  contents(): [low: number, high: number][];
  /** @throws Error if blocks are lost or counted twice */
  assertConsistent(running: readonly EngineRequest[]): void;
}
