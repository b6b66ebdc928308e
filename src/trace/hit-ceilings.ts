// Upper limits of the hit rate of a workload: with an infinite cache, and with one pooled LRU cache.

import type { Workload, WorkloadRequest } from './workload.ts';

/**
 * Share of prompt tokens in leading content blocks that an earlier request had: the ceiling for every policy and cache.
 * Requests are processed in order of arrival.
 * @param from index of the first counted request; earlier ones only fill the cache
 */
export function infiniteCacheHitRate({ requests, blockIdCount, contentBlockTokens }: Workload, from = 0): number {
  const seen = new Uint8Array(blockIdCount);
  let islTokens = 0;
  let hitTokens = 0;
  for (const [index, { isl, blockIds }] of requests.entries()) {
    let hits = 0;
    while (hits < blockIds.length && seen[blockIds[hits]!] === 1) hits++;
    for (let block = hits; block < blockIds.length; block++) seen[blockIds[block]!] = 1;
    if (index < from) continue;
    islTokens += isl;
    hitTokens += Math.min(hits * contentBlockTokens, isl);
  }
  return hitTokens / islTokens;
}

/**
 * The same share for a single cache of `capacityTokens` shared by all workers. Evicts least recently used blocks first,
 * a prompt's tail before its head. A reference, not a bound: every block is kept only once, but a smarter eviction may
 * do better. Tokens without ids occupy the cache; answers do not.
 */
export function pooledLruHitRate(workload: Workload, capacityTokens: number): number {
  const { requests, contentBlockTokens } = workload;
  const cache = new LruBlocks(workload, Math.floor(capacityTokens / contentBlockTokens));
  let islTokens = 0;
  let hitTokens = 0;
  for (const [index, request] of requests.entries()) {
    const hits = cache.leadingHits(request);
    islTokens += request.isl;
    hitTokens += Math.min(hits * contentBlockTokens, request.isl);
    cache.use(index, request);
  }
  return hitTokens / islTokens;
}

const noHits = -1;

/** LRU list with one entry per block id, followed by one entry per request for its blocks without ids. */
class LruBlocks {
  readonly #contentBlockTokens: number;
  readonly #blockIdCount: number;
  readonly #capacityBlocks: number;
  /** Blocks that an entry has in the cache. 0: it is not cached. */
  readonly #blocks: Int32Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  #oldest = noHits;
  #newest = noHits;
  #held = 0;

  constructor({ requests, blockIdCount, contentBlockTokens }: Workload, capacityBlocks: number) {
    const entries = blockIdCount + requests.length;
    this.#contentBlockTokens = contentBlockTokens;
    this.#blockIdCount = blockIdCount;
    this.#capacityBlocks = capacityBlocks;
    this.#blocks = new Int32Array(entries);
    this.#older = new Int32Array(entries);
    this.#newer = new Int32Array(entries);
  }

  leadingHits({ blockIds }: WorkloadRequest): number {
    let hits = 0;
    while (hits < blockIds.length && this.#blocks[blockIds[hits]!]! > 0) hits++;
    return hits;
  }

  use(index: number, { isl, blockIds }: WorkloadRequest): void {
    const ownBlocks = Math.ceil(isl / this.#contentBlockTokens) - blockIds.length;
    if (ownBlocks > 0) this.#touch(this.#blockIdCount + index, ownBlocks);
    for (let block = blockIds.length - 1; block >= 0; block--) this.#touch(blockIds[block]!, 1);
    while (this.#held > this.#capacityBlocks) this.#evictOldest();
  }

  #touch(entry: number, blocks: number): void {
    if (this.#blocks[entry]! > 0) this.#unlink(entry);
    this.#held += blocks - this.#blocks[entry]!;
    this.#blocks[entry] = blocks;
    this.#older[entry] = this.#newest;
    this.#newer[entry] = noHits;
    if (this.#newest === noHits) this.#oldest = entry;
    else this.#newer[this.#newest] = entry;
    this.#newest = entry;
  }

  /** Evicts the oldest block. Blocks without ids are evicted one by one. */
  #evictOldest(): void {
    const entry = this.#oldest;
    const evicted = Math.min(this.#blocks[entry]!, this.#held - this.#capacityBlocks);
    this.#blocks[entry]! -= evicted;
    this.#held -= evicted;
    if (this.#blocks[entry] === 0) this.#unlink(entry);
  }

  #unlink(entry: number): void {
    const older = this.#older[entry]!;
    const newer = this.#newer[entry]!;
    if (older === noHits) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === noHits) this.#newest = older;
    else this.#older[newer] = older;
  }
}
