// SGLang's prefix tree: each node is a run of pages with chained hashes. Evicts the least recently used leaf.

import { assert } from '../core/assert.ts';

export class RadixNode {
  /** Null for the root and for an evicted node. */
  parent: RadixNode | null;
  /** Two words (low, high) per page. Empty only at the root. */
  hashes: Uint32Array;
  /** Children by the hash of their first page. */
  readonly children = new Map<string, RadixNode>();
  /** Running sequences that end here or below. */
  locks = 0;
  usedAt: number;

  constructor(parent: RadixNode | null, hashes: Uint32Array, usedAt: number) {
    this.parent = parent;
    this.hashes = hashes;
    this.usedAt = usedAt;
  }

  get pages(): number {
    return this.hashes.length / 2;
  }
}

/** End of a walk: `pages` from the root, at the end of `node`. */
export interface RadixPlace {
  readonly node: RadixNode;
  readonly pages: number;
}

export class RadixTree {
  #root = new RadixNode(null, new Uint32Array(0), 0);
  #now = 0;
  #pages = 0;
  #lockedPages = 0;

  /** Pages of all nodes. */
  get pages(): number {
    return this.#pages;
  }

  /** Pages of unlocked nodes. Nodes below an unlocked node are unlocked too, so all of these can be evicted. */
  get evictablePages(): number {
    return this.#pages - this.#lockedPages;
  }

  /**
   * Follows a chain as far as it is in the tree, up to `pagesMax` pages. Splits the last node if it holds more. Marks
   * the nodes on the path as used.
   * @param wordsTo returns the hashes of at least the first `pages` pages
   */
  walk(pagesMax: number, wordsTo: (pages: number) => Uint32Array): RadixPlace {
    const now = ++this.#now;
    let node = this.#root;
    let pages = 0;
    while (pages < pagesMax) {
      const words = wordsTo(pages + 1);
      const child = node.children.get(keyOf(words, pages));
      if (child === undefined) break;
      const common = commonPages(child.hashes, pages, pagesMax, wordsTo);
      node = common < child.pages ? this.#split(child, common) : child;
      node.usedAt = now;
      pages += common;
    }
    return { node, pages };
  }

  /** Adds a leaf below `parent`, which must have no child that starts with the same page. */
  append(parent: RadixNode, hashes: Uint32Array): RadixNode {
    const node = new RadixNode(parent, hashes, this.#now);
    assert(!parent.children.has(keyOf(hashes, 0)), 'a run is stored only once');
    parent.children.set(keyOf(hashes, 0), node);
    this.#pages += node.pages;
    return node;
  }

  /** Locks a node and all nodes above it. */
  lock(node: RadixNode): void {
    for (let at = node; at.parent !== null; at = at.parent) {
      if (at.locks++ === 0) this.#lockedPages += at.pages;
    }
  }

  unlock(node: RadixNode): void {
    for (let at = node; at.parent !== null; at = at.parent) {
      assert(at.locks > 0, 'a lock is released only once');
      if (--at.locks === 0) this.#lockedPages -= at.pages;
    }
  }

  /** Removes the least recently used unlocked leaf. O(nodes) @returns its hashes, or null if there is none */
  evict(): Uint32Array | null {
    let oldest: RadixNode | null = null;
    for (const node of this.#nodes()) {
      if (node.children.size > 0 || node.locks > 0) continue;
      if (oldest === null || node.usedAt < oldest.usedAt) oldest = node;
    }
    if (oldest === null) return null;
    oldest.parent!.children.delete(keyOf(oldest.hashes, 0));
    oldest.parent = null;
    this.#pages -= oldest.pages;
    return oldest.hashes;
  }

  clear(): void {
    assert(this.#lockedPages === 0, 'a tree in use is not cleared');
    this.#root = new RadixNode(null, new Uint32Array(0), 0);
    this.#pages = 0;
  }

  /** The hash (low, high) of every page. */
  contents(): [low: number, high: number][] {
    const list: [number, number][] = [];
    for (const { hashes } of this.#nodes()) {
      for (let at = 0; at < hashes.length; at += 2) list.push([hashes[at]!, hashes[at + 1]!]);
    }
    return list;
  }

  assertConsistent(): void {
    let pages = 0;
    let lockedPages = 0;
    for (const node of this.#nodes()) {
      pages += node.pages;
      if (node.locks > 0) lockedPages += node.pages;
      const below = [...node.children.values()].reduce((sum, { locks }) => sum + locks, 0);
      assert(node.locks >= below, 'a node has at least the locks of its children');
      assert(
        node.pages > 0 && node.parent?.children.get(keyOf(node.hashes, 0)) === node,
        'every node is the child of its parent',
      );
    }
    assert(pages === this.#pages && lockedPages === this.#lockedPages, 'the page counts equal those of all nodes');
  }

  /** Splits a node: its first `pages` pages become a new parent. No event, since the content is unchanged. */
  #split(node: RadixNode, pages: number): RadixNode {
    const { parent } = node;
    assert(parent !== null, 'the root is never split');
    const upper = new RadixNode(parent, node.hashes.subarray(0, 2 * pages), node.usedAt);
    upper.locks = node.locks;
    parent.children.set(keyOf(upper.hashes, 0), upper);
    node.hashes = node.hashes.subarray(2 * pages);
    node.parent = upper;
    upper.children.set(keyOf(node.hashes, 0), node);
    return upper;
  }

  *#nodes(): Generator<RadixNode> {
    const open = [...this.#root.children.values()];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      yield node;
      open.push(...node.children.values());
    }
  }
}

/** Number of the node's leading pages that the chain has at `offset`. At least 1. */
function commonPages(
  hashes: Uint32Array,
  offset: number,
  pagesMax: number,
  wordsTo: (pages: number) => Uint32Array,
): number {
  const most = Math.min(hashes.length / 2, pagesMax - offset);
  let common = 1;
  while (common < most) {
    const at = 2 * (offset + common);
    const words = wordsTo(offset + common + 1);
    if (words[at] !== hashes[2 * common] || words[at + 1] !== hashes[2 * common + 1]) break;
    common += 1;
  }
  return common;
}

function keyOf(hashes: Uint32Array, page: number): string {
  return `${hashes[2 * page]},${hashes[2 * page + 1]}`;
}
