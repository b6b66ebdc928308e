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

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    this.#pool = new BlockPool(options.blocks, options.freeUnhashedFirst);
  }

  get usage(): number {
    return this.#pool.usage;
  }

  /** Writes the hit blocks into `request.blocks` without taking them. */
  match(request: EngineRequest): number {
    const { blockSize } = this.#options;
    const blocksMax = Math.floor(request.reusableTokens / blockSize);
    request.hashTo(blocksMax, blockSize);
    request.blockCount = 0;
    request.reserveBlocks(blocksMax);
    return this.#pool.findLeading(request.hashes, blocksMax, request.blocks) * blockSize;
  }

  admit(request: EngineRequest, hitTokens: number, wantedTokens: number): boolean {
    const hits = hitTokens / this.#options.blockSize;
    const wanted = this.#blocksFor(wantedTokens) - hits;
    if (wanted > this.#pool.freeCount - this.#pool.freeAmong(request.blocks, hits)) return false;
    this.#pool.touch(request.blocks, hits);
    request.blockCount = hits;
    request.storedBlocks = hits;
    return true;
  }

  hold(request: EngineRequest, tokens: number): boolean {
    const after = request.computedTokens + tokens;
    if (after <= request.blockCount * this.#options.blockSize) return true;
    const missing = this.#blocksFor(after) - request.blockCount;
    if (missing > this.#pool.freeCount) return false;
    const blocks = request.blockCount + missing;
    request.reserveBlocks(blocks);
    this.#pool.allocate(request.blocks, request.blockCount, blocks);
    request.blockCount = blocks;
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
    this.#pool.free(request.blocks, request.blockCount);
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

  #store(request: EngineRequest, full: number): void {
    const { blockSize } = this.#options;
    const from = request.storedBlocks;
    request.hashTo(full, blockSize);
    this.#pool.cache(request.blocks, request.hashes, from, full);
    request.storedBlocks = full;
    this.#announceRemoved();
    this.#events.push(storedEvent(request, from, full, blockSize));
  }

  #announceRemoved(): void {
    if (!this.#pool.hasEvicted) return;
    const removed = this.#pool.takeEvicted();
    if (this.#options.joinRemovals) {
      this.#events.push({ kind: 'removed', hashes: removed });
      return;
    }
    for (let at = 0; at < removed.length; at += 2) {
      this.#events.push({ kind: 'removed', hashes: removed.slice(at, at + 2) });
    }
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
