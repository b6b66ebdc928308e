// Types of a canary's result: proofs, findings with their causes, and the facts they are derived from.

import type { TokenizerVerdict } from './tokenizer-verdict.ts';
import type { ToldOfCache, WorkerTraits } from './worker-traits.ts';

/**
 * `no-batches`: the feed is connected, but no batch arrives. `events-unmatched`: batches arrive, but never with the
 * blocks of the prompts sent there.
 */
export type Cause =
  | 'prefix-caching-off'
  | 'events-off'
  | 'null-publisher'
  | 'wrong-endpoint'
  | 'connect-not-bind'
  | 'bind-not-connect'
  | 'topic-filter'
  | 'no-batches'
  | 'foreign-events'
  | 'lora-or-salt'
  | 'events-unmatched'
  | 'attention-kind'
  | 'block-size'
  | 'tokenizer'
  | 'chat-template'
  | 'double-bos'
  | 'unreachable'
  | 'unfit';

export interface Finding {
  readonly cause: Cause;
  readonly message: string;
}

/**
 * What the canary has proved. `token-count`: the engine counts the same tokens as we do. `usage`, `counters`: the
 * expected tokens were in its cache, by its answer or by its metrics. `events`: KV events announced the prompt's
 * blocks.
 */
export type Proof = 'token-count' | 'usage' | 'counters' | 'events';

export interface Diagnosis {
  readonly proofs: readonly Proof[];
  /** Empty: no fault was found. */
  readonly findings: readonly Finding[];
}

/**
 * Outcome of a canary. `sound`, `faulty`: it was answered. `inconclusive`: it was not, and is sent again. `off`: none
 * is sent; the findings are from the engine's own statements.
 */
export type CanaryReport =
  | ({ readonly timeMs: number; readonly state: 'sound' | 'faulty' | 'off' } & Diagnosis)
  | { readonly timeMs: number; readonly state: 'inconclusive'; readonly reason: string };

export interface Circumstances {
  readonly traits: Pick<WorkerTraits, 'blockSize' | 'pageSize' | 'pageSizeUnfit'>;
  readonly told: ToldOfCache;
  /** Whether an address of its KV events is known. */
  readonly offered: boolean;
  readonly tokenizer: TokenizerVerdict;
}
