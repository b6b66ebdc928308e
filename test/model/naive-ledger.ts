// Naive twin of the ledger: a list of live requests from which every load is recomputed.

export interface NaiveRequest {
  worker: number;
  tokens: readonly number[];
  /** Uncached tokens until the prefill is done, then 0. */
  prefillTokens: number;
  /** Output tokens of each sequence. */
  outputs: number[];
}

export class NaiveLedger {
  readonly live = new Map<number, NaiveRequest>();
  readonly #blockSize: number;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  activeBlocks(worker: number): number {
    const shared = new Set<string>();
    let own = 0;
    for (const request of this.#of(worker)) {
      for (const block of this.#blocks(request.tokens)) shared.add(block);
      const full = Math.floor(request.tokens.length / this.#blockSize);
      for (const output of request.outputs) {
        own += Math.ceil((request.tokens.length + output) / this.#blockSize) - full;
      }
    }
    return shared.size + own;
  }

  activePrefillTokens(worker: number): number {
    return this.#of(worker).reduce((sum, request) => sum + request.prefillTokens, 0);
  }

  runningRequests(worker: number): number {
    return this.#of(worker).length;
  }

  /** Blocks that a request with one sequence would add. */
  newBlocks(worker: number, tokens: readonly number[]): number {
    const shared = new Set(this.#of(worker).flatMap((request) => this.#blocks(request.tokens)));
    const tail = tokens.length % this.#blockSize === 0 ? 0 : 1;
    return this.#blocks(tokens).filter((block) => !shared.has(block)).length + tail;
  }

  /** Leading blocks that requests in flight contain. */
  promisedBlocks(worker: number, tokens: readonly number[]): number {
    const shared = new Set(this.#of(worker).flatMap((request) => this.#blocks(request.tokens)));
    const blocks = this.#blocks(tokens);
    const missing = blocks.findIndex((block) => !shared.has(block));
    return missing < 0 ? blocks.length : missing;
  }

  #of(worker: number): NaiveRequest[] {
    return [...this.live.values()].filter((request) => request.worker === worker);
  }

  /** Each full block as the text of everything up to its end. */
  #blocks(tokens: readonly number[]): string[] {
    const count = Math.floor(tokens.length / this.#blockSize);
    return Array.from({ length: count }, (_, i) => tokens.slice(0, (i + 1) * this.#blockSize).join(','));
  }
}
