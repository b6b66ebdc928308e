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
  /** Hashes (low, high) of evicted blocks whose removal is not announced yet. */
  readonly #removed: number[] = [];

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    this.#pool = new BlockPool(options.blocks, options.freeUnhashedFirst, (low, high) => {
      this.#removed.push(low, high);
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
    const missing = this.#blocksFor(request.computedTokens + tokens) - request.blockCount;
    if (missing > this.#pool.freeCount) return false;
    for (let i = 0; i < missing; i++) request.appendBlock(this.#pool.allocate());
    return true;
  }

  /** Stores the blocks that the step fills. A later request of the same step can hit them. */
  scheduled(request: EngineRequest): void {
    const full = Math.floor(request.computedTokens / this.#options.blockSize);
    if (full > request.storedBlocks) this.#store(request, full);
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
    assert(free.length === this.#pool.freeCount, 'the queue of free blocks is as long as it says');
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

  #announceRemoved(): void {
    const removed = this.#removed;
    if (removed.length === 0) return;
    if (this.#options.joinRemovals) this.#events.push({ kind: 'removed', hashes: new Uint32Array(removed) });
    else {
      for (let at = 0; at < removed.length; at += 2) {
        this.#events.push({ kind: 'removed', hashes: Uint32Array.of(removed[at]!, removed[at + 1]!) });
      }
    }
    removed.length = 0;
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
  return {
    kind: 'stored',
    hashes: stored,
    parent: from === 0 ? null : hashes.subarray(from * 2 - 2, from * 2),
    tokens: request.tokens.subarray(from * blockSize, to * blockSize),
    blockSize,
    lora: request.lora,
    salt: from === 0 ? request.salt : null,
    extras: null,
    ...(request.isHashedOnly ? { sequence: stored } : {}),
  };
}
