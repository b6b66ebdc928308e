// The content of one engine's cache from its unmodified events: every block as the tokens of its whole chain.

import type { KvEvent } from '../../src/core/index.ts';

export class FeedEngineTwin {
  readonly blockSize: number;
  /** Engine hash -> the tokens of the chain, and copies. */
  readonly #blocks = new Map<string, { readonly chain: readonly number[]; copies: number }>();

  constructor(blockSize: number) {
    this.blockSize = blockSize;
  }

  /** @throws Error for a parent that the engine does not hold */
  apply(event: KvEvent): void {
    switch (event.kind) {
      case 'cleared':
        this.#blocks.clear();
        return;
      case 'removed':
        for (const key of keysOf(event.hashes)) {
          const block = this.#blocks.get(key);
          if (block && --block.copies === 0) this.#blocks.delete(key);
        }
        return;
      case 'stored': {
        let chain: readonly number[] = [];
        if (event.parent !== null) {
          const parent = this.#blocks.get(keysOf(event.parent)[0]!);
          if (!parent) throw new Error('a block was stored below one that is not held');
          chain = parent.chain;
        }
        for (const [i, key] of keysOf(event.hashes).entries()) {
          chain = [...chain, ...event.tokens.subarray(i * this.blockSize, (i + 1) * this.blockSize)];
          const block = this.#blocks.get(key);
          if (block) block.copies += 1;
          else this.#blocks.set(key, { chain, copies: 1 });
        }
      }
    }
  }

  clear(): void {
    this.#blocks.clear();
  }

  /** Copies of each block by its engine hash, as `low,high`. */
  copies(): Map<string, number> {
    return new Map([...this.#blocks].map(([key, { copies }]) => [key, copies]));
  }

  /** Chains of blocks of `size` tokens (a multiple of the engine's) of which every part is held, as text. */
  chains(size: number): Set<string> {
    const held = new Set([...this.#blocks.values()].map(({ chain }) => chain.join()));
    const chains = new Set<string>();
    for (const { chain } of this.#blocks.values()) {
      if (chain.length % size !== 0) continue;
      const parts = Array.from({ length: size / this.blockSize }, (_, i) =>
        chain.slice(0, chain.length - i * this.blockSize),
      );
      if (parts.every((part) => held.has(part.join()))) chains.add(chain.join());
    }
    return chains;
  }
}

function keysOf(words: Uint32Array): string[] {
  return Array.from({ length: words.length / 2 }, (_, i) => `${words[2 * i]},${words[2 * i + 1]}`);
}
