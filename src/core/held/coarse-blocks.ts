// Combines an engine's small pages into larger blocks. A block is held while all of its pages are held.
//
// Engines with pages of one or a few tokens announce each page separately. Prompts are hashed in larger blocks, so that
// hashing and lookup do not pay for the small pages. A page is identified by its chain hash (all tokens up to its end).
// The pages of one block form a small tree, because prompts can diverge inside a block. A removed page stays in the
// tree, unheld, while the tree has pages below it in the same block: their content depends on it.

import { assert } from '../assert.ts';
import type { BlockHasher } from '../blocks/block-hash.ts';
import { HashTable } from '../blocks/hash-table.ts';
import type { BlocksRemoved, BlocksStored, KvEventOutcome } from '../types.ts';
import { chainOffset, noPage, PageTree } from './page-tree.ts';

/** Receives the sequence hash of every block that becomes held or is no longer held. */
export interface CoarseBlockSink {
  held(low: number, high: number): void;
  dropped(low: number, high: number): void;
}

export class CoarseBlocks {
  readonly #hasher: BlockHasher;
  readonly #pageSize: number;
  readonly #blockSize: number;
  readonly #sink: CoarseBlockSink;
  readonly #tree: PageTree;
  /** Engine handle -> [page, copies]. */
  readonly #handles = new HashTable(2);
  /** Chain hash of pages -> [page]. */
  readonly #chains = new HashTable(1);

  /** @param blockSize a multiple of `pageSize` */
  constructor(hasher: BlockHasher, pageSize: number, blockSize: number, sink: CoarseBlockSink) {
    assert(blockSize % pageSize === 0 && blockSize > pageSize, 'a coarse block is several whole pages');
    this.#hasher = hasher;
    this.#pageSize = pageSize;
    this.#blockSize = blockSize;
    this.#sink = sink;
    this.#tree = new PageTree(pageSize);
  }

  /** Page hashes of the engine that are known. O(1) */
  get handleCount(): number {
    return this.#handles.size;
  }

  /** Pages in the tree, unheld ones included. O(1) */
  get pageCount(): number {
    return this.#chains.size;
  }

  get bytes(): number {
    return this.#handles.bytes + this.#chains.bytes + this.#tree.bytes;
  }

  /** The outcome counts pages. O(pages of the event + pages below those that change) */
  store(event: BlocksStored): KvEventOutcome {
    const pageCount = event.hashes.length / 2;
    const fits = event.blockSize === this.#pageSize;
    const full = fits ? Math.min(pageCount, Math.floor(event.tokens.length / this.#pageSize)) : 0;
    let parent = noPage;
    if (event.parent) {
      const at = this.#handles.find(event.parent[0]!, event.parent[1]!);
      if (at < 0) return { appliedBlocks: 0, orphanBlocks: pageCount, unknownBlocks: 0 };
      parent = this.#handles.slots[at + 2]!;
    }
    for (let index = 0; index < full; index++) parent = this.#storePage(event, index, parent);
    return { appliedBlocks: full, orphanBlocks: pageCount - full, unknownBlocks: 0 };
  }

  remove(event: BlocksRemoved): KvEventOutcome {
    const { hashes } = event;
    let applied = 0;
    for (let i = 0; i < hashes.length; i += 2) {
      const at = this.#handles.find(hashes[i]!, hashes[i + 1]!);
      if (at < 0) continue;
      applied++;
      const { slots } = this.#handles;
      slots[at + 3]!--;
      if (slots[at + 3]! > 0) continue;
      const page = slots[at + 2]!;
      this.#handles.remove(at);
      if (this.#tree.addHandle(page, -1) > 0) continue;
      if (this.#tree.isPathHeld(this.#tree.above(page))) this.#tell(page, 'dropped');
      this.#forget(page);
    }
    return { appliedBlocks: applied, orphanBlocks: 0, unknownBlocks: hashes.length / 2 - applied };
  }

  /** Drops all pages, and reports nothing: the owner drops their blocks. O(1) */
  clear(): void {
    this.#handles.clear();
    this.#chains.clear();
    this.#tree.clear();
  }

  #storePage(event: BlocksStored, index: number, parent: number): number {
    const at = this.#handles.insert(event.hashes[2 * index]!, event.hashes[2 * index + 1]!);
    const { slots } = this.#handles;
    slots[at + 3]!++;
    // A handle keeps its first page for as long as it is known.
    if (!this.#handles.inserted) return slots[at + 2]!;
    const page = this.#pageOf(event, index, parent);
    slots[at + 2] = page;
    const isNew = this.#tree.addHandle(page, 1) === 1;
    if (isNew && this.#tree.isPathHeld(this.#tree.above(page))) this.#tell(page, 'held');
    return page;
  }

  /** Finds a page by its chain hash, or adds it. */
  #pageOf(event: BlocksStored, index: number, parent: number): number {
    const hasher = this.#hasher;
    const tree = this.#tree;
    const pageSize = this.#pageSize;
    const tokens = event.tokens.subarray(index * pageSize, (index + 1) * pageSize);
    const extra = event.extras?.[index] ?? null;
    const chainAbove = parent === noPage ? hasher.root(pageSize, event) : tree.words(parent, chainOffset);
    const chain = hasher.chain(tokens, 1, pageSize, extra === null ? chainAbove : hasher.mix(chainAbove, extra));
    const at = this.#chains.insert(chain[0]!, chain[1]!);
    if (!this.#chains.inserted) return this.#chains.slots[at + 2]!;
    const page =
      parent === noPage || tree.endsBlock(parent)
        ? tree.addFirst(parent === noPage ? hasher.root(this.#blockSize, event) : tree.block(parent), chain, tokens)
        : tree.addBelow(parent, chain, tokens);
    if (extra !== null) tree.mix(page);
    if ((tree.position(page) + 1) * pageSize === this.#blockSize) tree.endBlock(page, this.#blockHash(page));
    this.#chains.slots[at + 2] = page;
    return page;
  }

  /** Hashed like a block of a prompt. A block that contains more than tokens (media, salt) gets a hash that no prompt has. */
  #blockHash(last: number): Uint32Array {
    const tree = this.#tree;
    const tokens = new Uint32Array(this.#blockSize);
    let blockAbove = tree.block(last);
    for (let page = last; page !== noPage; page = tree.above(page)) {
      tokens.set(tree.tokens(page), tree.position(page) * this.#pageSize);
    }
    if (tree.isMixed(last)) blockAbove = this.#hasher.mix(blockAbove, tree.words(last, chainOffset).join());
    return this.#hasher.chain(tokens, 1, this.#blockSize, blockAbove);
  }

  /**
   * `first` is now held or about to be dropped, and all pages above it are held. Reports the blocks that this completes
   * or breaks.
   */
  #tell(first: number, what: keyof CoarseBlockSink): void {
    const tree = this.#tree;
    // Not by recursion: a block may have 65,536 pages, one below the other.
    const waiting = [first];
    for (let page = waiting.pop(); page !== undefined; page = waiting.pop()) {
      if (tree.endsBlock(page)) this.#tellOne(page, what);
      for (let next = tree.firstBelow(page); next !== noPage; next = tree.nextBelow(next)) {
        if (tree.isHeld(next)) waiting.push(next);
      }
    }
  }

  #tellOne(page: number, what: keyof CoarseBlockSink): void {
    const block = this.#tree.block(page);
    this.#sink[what](block[0]!, block[1]!);
  }

  /** Removes an unheld page, and the unheld pages above it that have no other page below. */
  #forget(unheld: number): void {
    const tree = this.#tree;
    let page = unheld;
    while (page !== noPage && !tree.isHeld(page) && tree.firstBelow(page) === noPage) {
      const chain = tree.words(page, chainOffset);
      this.#chains.remove(this.#chains.find(chain[0]!, chain[1]!));
      const above = tree.above(page);
      tree.remove(page);
      page = above;
    }
  }
}
