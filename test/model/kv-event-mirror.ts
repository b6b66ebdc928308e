// An engine's cache as a subscriber sees it: counts every stored block up and every removed one down.

import type { KvEvent } from '../../src/core/types.ts';

export class KvEventMirror {
  /** Copies by content. */
  readonly copies: Map<string, number> = new Map();
  readonly #blockSize: number;
  readonly #hashedOnly: boolean;

  /** @param hashedOnly the events come without tokens */
  constructor(blockSize: number, hashedOnly = false) {
    this.#blockSize = blockSize;
    this.#hashedOnly = hashedOnly;
  }

  /** @throws Error for invalid events: an unknown parent, or removal of a block that is not held */
  apply(events: readonly KvEvent[]): void {
    for (const event of events) {
      if (event.kind === 'cleared') this.copies.clear();
      else if (event.kind === 'removed') this.#remove(event.hashes);
      else {
        if (event.parent !== null && !this.copies.has(contentKey(event.parent, 0))) throw new Error('unknown parent');
        if (event.blockSize !== this.#blockSize) throw new Error('another block size');
        const tokens = this.#hashedOnly ? 0 : (event.hashes.length / 2) * this.#blockSize;
        if (event.tokens.length !== tokens) throw new Error('tokens do not fit');
        if (this.#hashedOnly && event.sequence !== event.hashes) throw new Error('hashes are not ours');
        for (let i = 0; i < event.hashes.length; i += 2) {
          const key = contentKey(event.hashes, i);
          this.copies.set(key, (this.copies.get(key) ?? 0) + 1);
        }
      }
    }
  }

  #remove(hashes: Uint32Array): void {
    for (let i = 0; i < hashes.length; i += 2) {
      const key = contentKey(hashes, i);
      const copies = this.copies.get(key);
      if (copies === undefined) throw new Error('removed what is not there');
      if (copies === 1) this.copies.delete(key);
      else this.copies.set(key, copies - 1);
    }
  }
}

/** Copies by content of a list of hashes (low, high). */
export function countContents(contents: readonly (readonly [number, number])[]): Map<string, number> {
  const copies = new Map<string, number>();
  for (const [low, high] of contents) copies.set(`${low}:${high}`, (copies.get(`${low}:${high}`) ?? 0) + 1);
  return copies;
}

function contentKey(hashes: Uint32Array, at: number): string {
  return `${hashes[at]}:${hashes[at + 1]}`;
}
