// Naive reconstruction of an engine's cache from its KV events, without any code of the gateway.

import type { WireEvent } from './wire-events.ts';

export class NaiveCache {
  readonly #blockSize: number;
  /** Engine hash -> all tokens up to the end of the block. */
  readonly #prefixes = new Map<string, readonly number[]>();
  /** Tokens up to the end of a block, as text -> number of blocks with that content. */
  readonly #copies = new Map<string, number>();
  storedBlocks = 0;
  removedBlocks = 0;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** Number of distinct blocks. */
  get heldBlocks(): number {
    return this.#copies.size;
  }

  /** @throws Error for invalid events: an unknown parent, another block size, removal of a block that is not held */
  apply(event: WireEvent): void {
    switch (event.kind) {
      case 'cleared':
        this.#copies.clear();
        return;
      case 'removed':
        for (const hash of event.hashes) this.#remove(hash);
        return;
      case 'stored':
        this.#store(event);
    }
  }

  /** Number of a prompt's leading blocks that are held. */
  overlapBlocks(tokens: readonly number[]): number {
    let blocks = 0;
    for (let end = this.#blockSize; end <= tokens.length; end += this.#blockSize) {
      if (!this.#copies.has(keyOf(tokens.slice(0, end)))) break;
      blocks += 1;
    }
    return blocks;
  }

  /** Tokens of each held chain that no longer one continues. */
  chains(): number[][] {
    const inner = new Set<string>();
    const held = [...this.#copies.keys()].map((key) => key.split(',').map(Number));
    for (const tokens of held) inner.add(keyOf(tokens.slice(0, -this.#blockSize)));
    return held.filter((tokens) => !inner.has(keyOf(tokens)));
  }

  #store({ hashes, parent, tokens, blockSize }: Extract<WireEvent, { kind: 'stored' }>): void {
    if (blockSize !== this.#blockSize) throw new Error(`a block of ${blockSize} tokens`);
    if (tokens.length !== hashes.length * blockSize) throw new Error('tokens do not fit the blocks');
    let prefix = parent === null ? [] : this.#prefixes.get(parent);
    if (prefix === undefined || (parent !== null && !this.#copies.has(keyOf(prefix)))) {
      throw new Error(`the parent ${parent} is not there`);
    }
    for (const [i, hash] of hashes.entries()) {
      prefix = [...prefix, ...tokens.slice(i * blockSize, (i + 1) * blockSize)];
      this.#prefixes.set(hash, prefix);
      this.#copies.set(keyOf(prefix), (this.#copies.get(keyOf(prefix)) ?? 0) + 1);
      this.storedBlocks += 1;
    }
  }

  #remove(hash: string): void {
    const key = keyOf(this.#prefixes.get(hash) ?? []);
    const copies = this.#copies.get(key);
    if (copies === undefined) throw new Error(`the removed block ${hash} is not there`);
    if (copies === 1) this.#copies.delete(key);
    else this.#copies.set(key, copies - 1);
    this.removedBlocks += 1;
  }
}

function keyOf(tokens: readonly number[]): string {
  return tokens.join(',');
}
