// What a canary has shown of a worker: the proofs, the findings with their causes, and what they were read off.

import type { TokenizerVerdict } from './tokenizer-verdict.ts';
import type { ToldOfCache, WorkerTraits } from './worker-traits.ts';

/**
 * `events-silent`: its feed is connected, and nothing comes. `events-unmatched`: something comes, but never the blocks
 * of the prompts sent there. The others say it themselves.
 */
export type Cause =
  | 'prefix-caching-off'
  | 'events-off'
  | 'null-publisher'
  | 'wrong-endpoint'
  | 'connect-not-bind'
  | 'bind-not-connect'
  | 'topic-filter'
  | 'events-silent'
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
 * What the canary has proved. `token-count`: the engine counts the tokens that we count. `usage`, `counters`: it found
 * in its cache what was to be found, by its answer or by its metrics. `events`: they told of the prompt's blocks.
 */
export type Proof = 'token-count' | 'usage' | 'counters' | 'events';

export interface Diagnosis {
  readonly proofs: readonly Proof[];
  /** Empty: nothing is wrong. */
  readonly findings: readonly Finding[];
}

/**
 * What became of a canary. `sound`, `faulty`: it came back. `inconclusive`: it did not, and is sent again. `off`: none is
 * sent; the findings are from what the engine says of itself.
 */
export type CanaryReport =
  | ({ readonly timeMs: number; readonly state: 'sound' | 'faulty' | 'off' } & Diagnosis)
  | { readonly timeMs: number; readonly state: 'inconclusive'; readonly reason: string };

export interface Circumstances {
  readonly traits: Pick<WorkerTraits, 'blockSize' | 'pageSize' | 'pageSizeUnfit'>;
  readonly told: ToldOfCache;
  /** An address of its KV events is known. */
  readonly offered: boolean;
  readonly tokenizer: TokenizerVerdict;
}
