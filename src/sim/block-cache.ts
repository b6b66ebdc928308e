// vLLM's KV cache: sequences hold numbered blocks of a pool. Content counts as cached as soon as it is scheduled.

import { assert } from '../core/assert.ts';
import type { BlocksStored, KvEvent } from '../core/types.ts';
import { BlockPool } from './block-pool.ts';
import type { EngineRequest } from './engine-request.ts';
import type { PrefixCache } from './prefix-cache.ts';

export interface BlockCacheOptions {
  /** Tokens per block. */
  readonly blockSize: number;
  /** Blocks of the pool, the null block included. */
  readonly blocks: number;
  /** See BlockPool. */
  readonly freeUnhashedFirst: boolean;
  /** Combine consecutive removals into one event. Engines send one event per block. */
  readonly joinRemovals: boolean;
}

/** Events are in order of scheduling: for each request first the removals that its blocks caused, then its store. */
export class BlockCache implements PrefixCache {
  readonly #options: BlockCacheOptions;
  readonly #pool: BlockPool;
  #events: KvEvent[] = [];
  /** Hashes (low, high) of evicted blocks whose removal is not announced yet, in the first `#removedWords` words. */
  #removed = new Uint32Array(16);
  #removedWords = 0;

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    this.#pool = new BlockPool(options.blocks, options.freeUnhashedFirst, (low, high) => {
      this.#noteRemoved(low, high);
    });
  }

  get usage(): number {
    return this.#pool.usage;
  }

  /** Writes the hit blocks into `request.blocks` without taking them. */
  match(request: EngineRequest): number {
    const { blockSize } = this.#options;
    const blocksMax = Math.floor(request.reusableTokens / blockSize);
    request.blockCount = 0;
    for (let index = 0; index < blocksMax; index++) {
      request.hashTo(index + 1, blockSize);
      const block = this.#pool.find(request.hashes[index * 2]!, request.hashes[index * 2 + 1]!);
      if (block === 0) break;
      request.appendBlock(block);
    }
    const hits = request.blockCount;
    request.blockCount = 0;
    return hits * blockSize;
  }

  admit(request: EngineRequest, hitTokens: number, wantedTokens: number): boolean {
    const hits = hitTokens / this.#options.blockSize;
    if (this.#blocksFor(wantedTokens) - hits > this.#freeBesides(request, hits)) return false;
    for (let block = 0; block < hits; block++) this.#pool.touch(request.blocks[block]!);
    request.blockCount = hits;
    request.storedBlocks = hits;
    return true;
  }

  hold(request: EngineRequest, tokens: number): boolean {
    const after = request.computedTokens + tokens;
    if (after <= request.blockCount * this.#options.blockSize) return true;
    const missing = this.#blocksFor(after) - request.blockCount;
    if (missing > this.#pool.freeCount) return false;
    for (let i = 0; i < missing; i++) request.appendBlock(this.#pool.allocate());
    return true;
  }

  /** Stores the blocks that the step fills. A later request of the same step can hit them. */
  scheduled(request: EngineRequest): void {
    const { blockSize } = this.#options;
    if (request.computedTokens < (request.storedBlocks + 1) * blockSize) return;
    this.#store(request, Math.floor(request.computedTokens / blockSize));
  }

  computed(_request: EngineRequest): void {}

  finish(request: EngineRequest): void {
    this.release(request);
  }

  /** Frees the tail first, so that the end of a chain is evicted before its head. */
  release(request: EngineRequest): void {
    for (let index = request.blockCount - 1; index >= 0; index--) this.#pool.free(request.blocks[index]!);
    request.blockCount = 0;
    request.storedBlocks = 0;
  }

  clear(): boolean {
    if (!this.#pool.clear()) return false;
    this.#announceRemoved();
    this.#events.push({ kind: 'cleared' });
    return true;
  }

  takeEvents(): KvEvent[] {
    this.#announceRemoved();
    const events = this.#events;
    this.#events = [];
    return events;
  }

  contents(): [low: number, high: number][] {
    return this.#pool.contents();
  }

  /** Free blocks in the order in which they will be taken. */
  freeQueue(): number[] {
    return this.#pool.freeQueue();
  }

  assertConsistent(running: readonly EngineRequest[]): void {
    const used = new Set<number>();
    for (const request of running) {
      for (let index = 0; index < request.blockCount; index++) used.add(request.blocks[index]!);
    }
    const free = this.#pool.freeQueue();
    assert(free.length === this.#pool.freeCount, 'freeCount is the length of the free queue');
    assert(free.length + used.size === this.#pool.blockCount - 1, 'every block is either free or in use');
    assert(!free.some((block) => used.has(block)), 'no block in use is free');
  }

  /** Free blocks that are not among the hits. */
  #freeBesides(request: EngineRequest, hits: number): number {
    let free = this.#pool.freeCount;
    for (let index = 0; index < hits; index++) if (this.#pool.isFree(request.blocks[index]!)) free--;
    return free;
  }

  #store(request: EngineRequest, full: number): void {
    const { blockSize } = this.#options;
    const from = request.storedBlocks;
    request.hashTo(full, blockSize);
    const { hashes } = request;
    for (let block = from; block < full; block++) {
      this.#pool.cache(request.blocks[block]!, hashes[block * 2]!, hashes[block * 2 + 1]!);
    }
    request.storedBlocks = full;
    this.#announceRemoved();
    this.#events.push(storedEvent(request, from, full, blockSize));
  }

  #noteRemoved(low: number, high: number): void {
    if (this.#removedWords === this.#removed.length) {
      const grown = new Uint32Array(2 * this.#removedWords);
      grown.set(this.#removed);
      this.#removed = grown;
    }
    this.#removed[this.#removedWords++] = low;
    this.#removed[this.#removedWords++] = high;
  }

  #announceRemoved(): void {
    const words = this.#removedWords;
    const wordsPerEvent = this.#options.joinRemovals ? words : 2;
    for (let at = 0; at < words; at += wordsPerEvent) {
      this.#events.push({ kind: 'removed', hashes: this.#removed.slice(at, at + wordsPerEvent) });
    }
    this.#removedWords = 0;
  }

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.#options.blockSize);
  }
}

/**
 * Stored event of the request's blocks `from` .. `to` - 1. Its arrays are views: hashes and tokens never change once
 * written.
 */
export function storedEvent(request: EngineRequest, from: number, to: number, blockSize: number): BlocksStored {
  const { hashes } = request;
  const stored = hashes.subarray(from * 2, to * 2);
  const { lora } = request;
  const salt = from === 0 ? request.salt : null;
  if (request.isHashedOnly) {
    const { tokens } = request;
    return {
      kind: 'stored',
      hashes: stored,
      parent: null,
      tokens,
      blockSize,
      lora,
      salt,
      extras: null,
      sequence: stored,
    };
  }
  const parent = from === 0 ? null : hashes.subarray(from * 2 - 2, from * 2);
  const tokens = request.tokens.subarray(from * blockSize, to * blockSize);
  return { kind: 'stored', hashes: stored, parent, tokens, blockSize, lora, salt, extras: null };
}
