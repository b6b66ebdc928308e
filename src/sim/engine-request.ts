// One sequence in a simulated engine: its tokens, its blocks and its progress.

import type { HashedPrompt, SequenceHasher } from './block-hash.ts';

export interface EngineRequestSpec {
  /** Token ids. They must not change while the request is live. Several requests may share them. */
  readonly prompt: Uint32Array | HashedPrompt;
  /** The answer is cut after this many tokens (finish reason `length`). */
  readonly outputTokensMax: number;
  /** The answer ends by itself after this many tokens (finish reason `stop`), if that comes first. Default: never. */
  readonly stopAfterTokens?: number;
  /** Lower values go first. Only for priority scheduling. Default 0. */
  readonly priority?: number;
  readonly lora?: string | null;
  readonly salt?: string | null;
  /** Compute the whole prompt, even if it is cached, as vLLM does for prompt logprobs. Default false. */
  readonly recomputed?: boolean;
  /** Seed of the sampled tokens. Default: the request's id. */
  readonly seed?: number;
}

export type RequestStatus = 'waiting' | 'running' | 'preempted' | 'finished' | 'aborted';

/** Number of prompt tokens of a request. */
export function promptTokensOf({ prompt }: EngineRequestSpec): number {
  return prompt instanceof Uint32Array ? prompt.length : prompt.tokenCount;
}

/** `length`: cut by the request's or the engine's limit. `stop`: ended by itself. */
export type FinishReason = 'stop' | 'length';

/** State of a request. Only its engine writes it. */
export class EngineRequest {
  /** Order of arrival at the engine, from 0. */
  readonly id: number;
  readonly promptTokens: number;
  /** Bound of `tokenCount`, from the request's own limit and the engine's context length. */
  readonly tokensMax: number;
  readonly stopAfterTokens: number;
  readonly priority: number;
  readonly lora: string | null;
  readonly salt: string | null;
  readonly recomputed: boolean;
  readonly seed: number;

  status: RequestStatus = 'waiting';
  finishReason: FinishReason | null = null;
  /**
   * Prompt and output. Only the first `tokenCount` entries are valid; they never change once written. Empty if only
   * hashes are known.
   */
  tokens: Uint32Array;
  tokenCount: number;
  /** Leading tokens whose KV is computed (or scheduled in the current step). */
  computedTokens = 0;
  /** Output tokens of the request's last step that had any. */
  sampledTokens = 0;
  /** Tokens scheduled in the current step. */
  scheduledTokens = 0;
  /** Leading prompt tokens found in the cache at the first admission; -1 before it. */
  cachedTokens = -1;
  preemptions = 0;

  blocks: Int32Array = new Int32Array(0);
  blockCount = 0;
  /** Leading blocks whose content is known to the cache. */
  storedBlocks = 0;
  /** Two words (low, high) per full block. The first `hashedBlocks` are computed. */
  hashes: Uint32Array = new Uint32Array(0);
  #hashedBlocks = 0;
  /** Whether the prompt was given by hashes. `tokens` is then empty. */
  readonly isHashedOnly: boolean;
  readonly #hasher: SequenceHasher;

  constructor(id: number, spec: EngineRequestSpec, contextTokensMax: number, hasher: SequenceHasher) {
    this.id = id;
    this.promptTokens = promptTokensOf(spec);
    this.tokensMax = Math.min(contextTokensMax, this.promptTokens + spec.outputTokensMax);
    this.stopAfterTokens = spec.stopAfterTokens ?? Number.POSITIVE_INFINITY;
    this.priority = spec.priority ?? 0;
    this.lora = spec.lora ?? null;
    this.salt = spec.salt ?? null;
    this.recomputed = spec.recomputed ?? false;
    this.seed = spec.seed ?? id;
    this.isHashedOnly = !(spec.prompt instanceof Uint32Array);
    this.tokens = spec.prompt instanceof Uint32Array ? spec.prompt : noTokens;
    this.tokenCount = this.promptTokens;
    if (!(spec.prompt instanceof Uint32Array) && spec.prompt.hashes !== undefined) {
      this.hashes = spec.prompt.hashes;
      this.#hashedBlocks = this.hashes.length / 2;
    }
    this.#hasher = hasher;
  }

  /** Tokens that may come from the cache. Never all: the last one is always computed. */
  get reusableTokens(): number {
    return this.recomputed ? 0 : this.tokenCount - 1;
  }

  get outputTokens(): number {
    return this.tokenCount - this.promptTokens;
  }

  appendToken(token: number): void {
    if (this.isHashedOnly) {
      this.tokenCount++;
      return;
    }
    if (this.tokenCount === this.tokens.length) {
      const grown = new Uint32Array(Math.min(this.tokensMax, this.tokenCount + Math.max(64, this.tokenCount >> 2)));
      grown.set(this.tokens);
      this.tokens = grown;
    }
    this.tokens[this.tokenCount++] = token;
  }

  /** Makes room for the first `blockCount` blocks. */
  reserveBlocks(blockCount: number): void {
    if (blockCount <= this.blocks.length) return;
    // The prompt is hashed by then, and has one block per hash.
    const grown = new Int32Array(Math.max(8, blockCount, this.blocks.length * 2, this.hashes.length / 2 + 1));
    grown.set(this.blocks);
    this.blocks = grown;
  }

  /** Computes the hashes of the first `blockCount` full blocks. */
  hashTo(blockCount: number, blockSize: number): void {
    if (this.#hashedBlocks >= blockCount) return;
    if (this.hashes.length < blockCount * 2) {
      const grown = new Uint32Array(Math.max(16, Math.ceil(this.tokenCount / blockSize) * 2, this.hashes.length * 2));
      grown.set(this.hashes);
      this.hashes = grown;
    }
    for (; this.#hashedBlocks < blockCount; this.#hashedBlocks++) {
      const from = this.#hashedBlocks * blockSize;
      this.#hasher.next(this.tokens, from, from + blockSize, this.hashes, this.#hashedBlocks * 2);
    }
  }
}

const noTokens = new Uint32Array(0);
