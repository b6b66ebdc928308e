// One sequence inside a simulated engine: its tokens, its blocks, how far it is computed.

import type { HashedPrompt, SequenceHasher } from './block-hash.ts';

export interface EngineRequestSpec {
  /** Token ids, not changed by anybody as long as the request lives; several requests may share them. */
  readonly prompt: Uint32Array | HashedPrompt;
  /** The answer is cut after so many tokens (finish reason `length`). */
  readonly outputTokensMax: number;
  /** The answer ends by itself after so many tokens, if that is earlier (finish reason `stop`). Default: it does not. */
  readonly stopAfterTokens?: number;
  /** Lower goes first; only under priority scheduling. Default 0. */
  readonly priority?: number;
  readonly lora?: string | null;
  readonly salt?: string | null;
  /** Computes all of its prompt, whatever is cached, as vLLM does for prompt logprobs. Default false. */
  readonly recomputed?: boolean;
  /** Seed of the sampled tokens. Default: the request's id. */
  readonly seed?: number;
}

export type RequestStatus = 'waiting' | 'running' | 'preempted' | 'finished' | 'aborted';

/** Tokens of the prompt of a request. */
export function promptTokensOf({ prompt }: EngineRequestSpec): number {
  return prompt instanceof Uint32Array ? prompt.length : prompt.tokenCount;
}

/** `length`: cut by its own or the engine's limit. `stop`: ended by itself. */
export type FinishReason = 'stop' | 'length';

/** The state of a request. Only the engine that it was submitted to writes it. */
export class EngineRequest {
  /** Order of arrival at the engine, from 0. */
  readonly id: number;
  readonly promptTokens: number;
  /** Bound of `tokenCount`: own limit and the engine's context length in one. */
  readonly tokensMax: number;
  readonly stopAfterTokens: number;
  readonly priority: number;
  readonly lora: string | null;
  readonly salt: string | null;
  readonly recomputed: boolean;
  readonly seed: number;

  status: RequestStatus = 'waiting';
  finishReason: FinishReason | null = null;
  /** Prompt and output. The first `tokenCount` entries count; they never change once written. Empty if only hashes are known. */
  tokens: Uint32Array;
  tokenCount: number;
  /** Leading tokens whose KV is computed (or scheduled in the current step). */
  computedTokens = 0;
  /** Tokens scheduled in the current step. */
  scheduledTokens = 0;
  /** Leading prompt tokens found in the cache at the first admission; -1 before it. */
  cachedTokens = -1;
  preemptions = 0;

  blocks: Int32Array = new Int32Array(0);
  blockCount = 0;
  /** Leading blocks whose content is declared to the pool. */
  storedBlocks = 0;
  /** Two words (low, high) a full block; the first `hashedBlocks` are known. */
  hashes: Uint32Array = new Uint32Array(0);
  #hashedBlocks = 0;
  /** Whether the prompt came as hashes: then `tokens` stays empty. */
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
    this.#hasher = hasher;
  }

  /** Tokens that may come from a cache: never all, since the last one is computed in any case. */
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

  appendBlock(block: number): void {
    if (this.blockCount === this.blocks.length) {
      const grown = new Int32Array(Math.max(8, this.blockCount * 2));
      grown.set(this.blocks);
      this.blocks = grown;
    }
    this.blocks[this.blockCount++] = block;
  }

  /** Makes the hashes of the first `blockCount` full blocks known. */
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
