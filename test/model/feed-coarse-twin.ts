// Coarse blocks by their definition: a block is held while all of its pages are held.

import type { BlockHasher } from '../../src/core/blocks/block-hash.ts';
import type { KvEvent } from '../../src/core/index.ts';

export class FeedCoarseTwin {
  readonly #hasher: BlockHasher;
  readonly #pageSize: number;
  readonly #blockSize: number;
  /** Handle -> the tokens of its whole chain, and copies. */
  readonly #handles = new Map<string, { readonly chain: readonly number[]; copies: number }>();

  constructor(hasher: BlockHasher, pageSize: number, blockSize: number) {
    this.#hasher = hasher;
    this.#pageSize = pageSize;
    this.#blockSize = blockSize;
  }

  apply(event: KvEvent): void {
    switch (event.kind) {
      case 'cleared':
        this.#handles.clear();
        return;
      case 'removed':
        for (let i = 0; i < event.hashes.length; i += 2) this.#remove(`${event.hashes[i]},${event.hashes[i + 1]}`);
        return;
      case 'stored': {
        let chain: readonly number[] = [];
        if (event.parent) {
          const parent = this.#handles.get(event.parent.join());
          if (!parent) return;
          chain = parent.chain;
        }
        for (let page = 0; 2 * page < event.hashes.length; page++) {
          const key = event.hashes.slice(2 * page, 2 * page + 2).join();
          chain = [...chain, ...event.tokens.slice(page * this.#pageSize, (page + 1) * this.#pageSize)];
          const known = this.#handles.get(key);
          if (known) {
            known.copies += 1;
            chain = known.chain;
          } else this.#handles.set(key, { chain, copies: 1 });
        }
      }
    }
  }

  /** Sequence hashes (low,high) of the blocks all of whose pages are held. */
  heldBlocks(): Set<string> {
    const held = new Set([...this.#handles.values()].map(({ chain }) => chain.join()));
    const blocks = new Set<string>();
    for (const { chain } of this.#handles.values()) {
      if (chain.length % this.#blockSize !== 0) continue;
      const pages = this.#blockSize / this.#pageSize;
      const whole = Array.from({ length: pages }, (_, i) => chain.slice(0, chain.length - i * this.#pageSize));
      if (!whole.every((path) => held.has(path.join()))) continue;
      const { sequence, count } = this.#hasher.hash(Uint32Array.from(chain), this.#blockSize);
      blocks.add(`${sequence[2 * count - 2]},${sequence[2 * count - 1]}`);
    }
    return blocks;
  }

  #remove(key: string): void {
    const entry = this.#handles.get(key);
    if (entry && --entry.copies === 0) this.#handles.delete(key);
  }
}
