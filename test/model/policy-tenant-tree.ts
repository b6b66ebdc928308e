// Naive twin of the tenant tree: every prefix of every inserted chain, with its workers and their last use.

import type { BlockHashes } from '../../src/core/index.ts';

export class NaiveTenantTree {
  /** Prefix -> worker -> number of the insertion that used it last. */
  readonly #prefixes = new Map<string, Map<number, number>>();
  #insertions = 0;

  match(hashes: BlockHashes): { blocks: number; owner: number } {
    for (let blocks = hashes.count; blocks > 0; blocks--) {
      const tenants = this.#prefixes.get(key(hashes, blocks));
      if (!tenants || tenants.size === 0) continue;
      const owner = [...tenants].sort((a, b) => b[1] - a[1])[0]![0];
      return { blocks, owner };
    }
    return { blocks: 0, owner: -1 };
  }

  insert(hashes: BlockHashes, worker: number): void {
    this.#insertions++;
    for (let blocks = 1; blocks <= hashes.count; blocks++) {
      const tenants = this.#prefixes.get(key(hashes, blocks)) ?? new Map<number, number>();
      this.#prefixes.set(key(hashes, blocks), tenants.set(worker, this.#insertions));
    }
  }

  removeTenant(worker: number): void {
    for (const tenants of this.#prefixes.values()) tenants.delete(worker);
  }

  blocksOf(worker: number): number {
    let blocks = 0;
    for (const tenants of this.#prefixes.values()) if (tenants.has(worker)) blocks++;
    return blocks;
  }
}

function key(hashes: BlockHashes, blocks: number): string {
  return hashes.sequence.slice(0, 2 * blocks).join();
}
