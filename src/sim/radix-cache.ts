// SGLang's KV cache: sequences hold their own pages until a prefix tree takes them over. The tree evicts leaves when
// space is needed.

import { assert } from '../core/assert.ts';
import type { KvEvent } from '../core/types.ts';
import { storedEvent } from './block-cache.ts';
import type { EngineRequest } from './engine-request.ts';
import type { PrefixCache } from './prefix-cache.ts';
import { type RadixNode, type RadixPlace, RadixTree } from './radix-tree.ts';

export interface RadixCacheOptions {
  /** Tokens per page. */
  readonly blockSize: number;
  /** Number of pages + 1, like a pool with a null block. */
  readonly blocks: number;
}

/**
 * The tree takes over a sequence's computed pages at the end of each prefill chunk and when the sequence ends. Pages
 * whose content the tree has already are freed, so there is one copy of each content. Events: one store per page, one
 * removal per node. A request holds `blockCount` pages; the first `storedBlocks` of them are in the tree.
 */
export class RadixCache implements PrefixCache {
  readonly #pageSize: number;
  readonly #pages: number;
  readonly #tree = new RadixTree();
  #free: number;
  /** Result of the last `match`. */
  #matched: { readonly request: EngineRequest; readonly place: RadixPlace } | null = null;
  /** The deepest tree node of each sequence. */
  readonly #ends = new Map<EngineRequest, RadixNode>();
  #events: KvEvent[] = [];

  constructor({ blockSize, blocks }: RadixCacheOptions) {
    this.#pageSize = blockSize;
    this.#pages = blocks - 1;
    this.#free = blocks - 1;
  }

  get usage(): number {
    return 1 - (this.#free + this.#tree.evictablePages) / this.#pages;
  }

  match(request: EngineRequest): number {
    const pagesMax = Math.floor(request.reusableTokens / this.#pageSize);
    const place = this.#walk(request, pagesMax);
    this.#matched = { request, place };
    return place.pages * this.#pageSize;
  }

  admit(request: EngineRequest, hitTokens: number, wantedTokens: number): boolean {
    assert(this.#matched?.request === request, 'an admitted request was matched just before');
    const { node, pages } = this.#matched.place;
    assert(pages * this.#pageSize === hitTokens, 'the hits are those that match found');
    this.#matched = null;
    // Lock the hits, so that they are not evicted to make space for the rest.
    this.#tree.lock(node);
    if (this.#pagesFor(wantedTokens) - pages > this.#free + this.#tree.evictablePages) {
      this.#tree.unlock(node);
      return false;
    }
    this.#ends.set(request, node);
    request.blockCount = pages;
    request.storedBlocks = pages;
    return true;
  }

  hold(request: EngineRequest, tokens: number): boolean {
    const missing = this.#pagesFor(request.computedTokens + tokens) - request.blockCount;
    if (missing > this.#free + this.#tree.evictablePages) return false;
    while (missing > this.#free) this.#evict();
    this.#free -= missing;
    request.blockCount += missing;
    return true;
  }

  scheduled(_request: EngineRequest): void {}

  computed(request: EngineRequest): void {
    if (request.computedTokens - request.scheduledTokens < request.promptTokens) this.#insert(request);
  }

  finish(request: EngineRequest): void {
    this.#insert(request);
    this.release(request);
  }

  release(request: EngineRequest): void {
    this.#free += request.blockCount - request.storedBlocks;
    this.#tree.unlock(this.#endOf(request));
    this.#ends.delete(request);
    request.blockCount = 0;
    request.storedBlocks = 0;
  }

  clear(): boolean {
    if (this.#ends.size > 0) return false;
    this.#tree.clear();
    this.#free = this.#pages;
    this.#matched = null;
    this.#events.push({ kind: 'cleared' });
    return true;
  }

  takeEvents(): KvEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  contents(): [low: number, high: number][] {
    return this.#tree.contents();
  }

  assertConsistent(running: readonly EngineRequest[]): void {
    this.#tree.assertConsistent();
    assert(running.length === this.#ends.size, 'every running sequence has a node in the tree');
    let own = 0;
    for (const request of running) {
      let pages = 0;
      for (let at = this.#endOf(request); at.parent !== null; at = at.parent) pages += at.pages;
      assert(pages === request.storedBlocks, 'the stored blocks of a sequence end at its node');
      own += request.blockCount - request.storedBlocks;
    }
    assert(
      this.#free + this.#tree.pages + own === this.#pages,
      'every page is free, in the tree, or held by one sequence',
    );
  }

  #insert(request: EngineRequest): void {
    const full = Math.floor(request.computedTokens / this.#pageSize);
    const before = request.storedBlocks;
    if (full === before) return;
    request.hashTo(full, this.#pageSize);
    const { node, pages } = this.#walk(request, full);
    assert(pages >= before, 'pages in use are not evicted');
    this.#free += pages - before;
    const end = pages === full ? node : this.#tree.append(node, request.hashes.slice(2 * pages, 2 * full));
    for (let page = pages; page < full; page++) this.#events.push(storedEvent(request, page, page + 1, this.#pageSize));
    this.#tree.lock(end);
    this.#tree.unlock(this.#endOf(request));
    this.#ends.set(request, end);
    request.storedBlocks = full;
  }

  #evict(): void {
    const hashes = this.#tree.evict();
    assert(hashes !== null, 'evictable pages can be evicted');
    this.#free += hashes.length / 2;
    this.#events.push({ kind: 'removed', hashes });
  }

  #walk(request: EngineRequest, pagesMax: number): RadixPlace {
    return this.#tree.walk(pagesMax, (pages) => {
      request.hashTo(pages, this.#pageSize);
      return request.hashes;
    });
  }

  #endOf(request: EngineRequest): RadixNode {
    const end = this.#ends.get(request);
    assert(end !== undefined, 'a sequence with pages has a node in the tree');
    return end;
  }

  #pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.#pageSize);
  }
}
