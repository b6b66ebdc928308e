// Radix tree of the prompts a router has sent and the workers they went to: its guess of what the engines cache.
//
// A node is a stretch of blocks. Its tenancies are the workers it was sent to; a tenant of a node is a tenant of every
// node above it. Block hashes are chained, so a node is found by its first block alone.

import { assert } from '../assert.ts';
import { DueQueue } from '../blocks/due-queue.ts';
import { highMask, lowMask } from '../blocks/home.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';

interface Tenancy {
  readonly node: Node;
  readonly worker: WorkerIndex;
  /** Number of the last insertion that used the node. */
  usedAt: number;
  /** Child nodes that have the worker too. 0: a leaf of this worker. */
  below: number;
}

/** `hashes` has two words per block, for the node's own blocks only. */
class Node {
  hashes: Uint32Array;
  parent: Node | null;
  tenancies: Tenancy[] = [];

  constructor(hashes: Uint32Array, parent: Node | null) {
    this.hashes = hashes;
    this.parent = parent;
  }

  get blocks(): number {
    return this.hashes.length / 2;
  }

  of(worker: WorkerIndex): Tenancy | undefined {
    const { tenancies } = this;
    for (let i = 0; i < tenancies.length; i++) if (tenancies[i]!.worker === worker) return tenancies[i];
    return undefined;
  }

  /** The worker that this node was last sent to. */
  get owner(): WorkerIndex {
    let latest = this.tenancies[0]!;
    for (const tenancy of this.tenancies) if (tenancy.usedAt > latest.usedAt) latest = tenancy;
    return latest.worker;
  }
}

export interface Match {
  readonly blocks: number;
  /** Owner of the deepest node that the match reached. -1 without a match. */
  readonly owner: WorkerIndex;
}

const noMatch: Match = { blocks: 0, owner: -1 };

export class TenantTree {
  readonly #byFirst = new Map<number, Node>();
  /** Blocks in the tree, by worker. */
  readonly #blocks: number[] = [];
  #heldBlocks = 0;
  #insertions = 0;

  /** Blocks of all workers. A block of two workers counts twice. */
  get heldBlocks(): number {
    return this.#heldBlocks;
  }

  /** Blocks in the tree that were sent to the worker. O(1) */
  blocksOf(worker: WorkerIndex): number {
    return this.#blocks[worker] ?? 0;
  }

  /** The longest known prefix. O(nodes on the path) */
  match(hashes: BlockHashes): Match {
    let at = 0;
    let last: Node | undefined;
    while (at < hashes.count) {
      const node = this.#starting(hashes, at);
      if (!node) break;
      const matched = matchLength(node, hashes, at);
      at += matched;
      last = node;
      if (matched < node.blocks) break;
    }
    return last ? { blocks: at, owner: last.owner } : noMatch;
  }

  /** Adds a prompt that was sent to a worker. The worker now owns its nodes. O(nodes on the path) */
  insert(hashes: BlockHashes, worker: WorkerIndex): void {
    const usedAt = ++this.#insertions;
    let parent: Node | null = null;
    for (let at = 0; at < hashes.count; ) {
      let node = this.#starting(hashes, at);
      if (!node) {
        node = new Node(hashes.sequence.slice(2 * at, 2 * hashes.count), parent);
        this.#byFirst.set(firstKey(node.hashes, 0), node);
      } else {
        const matched = matchLength(node, hashes, at);
        if (matched < node.blocks) node = this.#split(node, matched);
      }
      this.#touch(node, worker, usedAt);
      at += node.blocks;
      parent = node;
    }
  }

  /**
   * Evicts leaves, least recently used first, from every worker with more than `blocksMax` blocks. A leaf is evicted as
   * a whole. O(nodes)
   */
  evict(blocksMax: number): void {
    if (!this.#blocks.some((blocks) => blocks > blocksMax)) return;
    const leaves = new DueQueue<Tenancy>();
    for (const node of this.#byFirst.values()) {
      for (const tenancy of node.tenancies) {
        if (tenancy.below === 0 && this.blocksOf(tenancy.worker) > blocksMax) leaves.push(tenancy.usedAt, tenancy);
      }
    }
    for (;;) {
      const leaf = leaves.popDue(Number.POSITIVE_INFINITY);
      if (!leaf) return;
      if (this.blocksOf(leaf.worker) <= blocksMax) continue;
      this.#leave(leaf);
      const above = leaf.node.parent?.of(leaf.worker);
      if (above?.below === 0) leaves.push(above.usedAt, above);
    }
  }

  /** Removes a worker from all nodes. O(nodes) */
  removeTenant(worker: WorkerIndex): void {
    for (const node of this.#byFirst.values()) {
      const tenancy = node.of(worker);
      if (tenancy) this.#leave(tenancy);
    }
  }

  /** Recomputes every total. @throws Error naming the total that differs */
  assertConsistent(): void {
    const blocks: number[] = [];
    for (const node of this.#byFirst.values()) {
      assert(node.tenancies.length > 0, 'a node has a tenant');
      for (const { worker, usedAt } of node.tenancies) {
        blocks[worker] = (blocks[worker] ?? 0) + node.blocks;
        const above = node.parent?.of(worker);
        assert(
          node.parent === null || (above !== undefined && above.usedAt >= usedAt),
          'a tenant of a node is a tenant of its parent',
        );
      }
    }
    const below = new Map<Tenancy, number>();
    for (const { parent, tenancies } of this.#byFirst.values()) {
      for (const { worker } of tenancies) {
        const above = parent?.of(worker);
        if (above) below.set(above, (below.get(above) ?? 0) + 1);
      }
    }
    for (const { tenancies } of this.#byFirst.values()) {
      for (const tenancy of tenancies)
        assert(tenancy.below === (below.get(tenancy) ?? 0), 'the count of nodes below is right');
    }
    let held = 0;
    this.#blocks.forEach((known, worker) => {
      assert(known === (blocks[worker] ?? 0), 'the blocks of a worker are those of its nodes');
      held += known;
    });
    assert(this.#heldBlocks === held, 'held blocks = sum over all workers');
  }

  #starting(hashes: BlockHashes, block: number): Node | undefined {
    return this.#byFirst.get(firstKey(hashes.sequence, block));
  }

  #touch(node: Node, worker: WorkerIndex, usedAt: number): void {
    const known = node.of(worker);
    if (known) {
      known.usedAt = usedAt;
      return;
    }
    node.tenancies.push({ node, worker, usedAt, below: 0 });
    const above = node.parent?.of(worker);
    if (above) above.below++;
    this.#count(node, worker, 1);
  }

  #leave(tenancy: Tenancy): void {
    const { node, worker } = tenancy;
    node.tenancies = node.tenancies.filter((one) => one !== tenancy);
    if (node.tenancies.length === 0) this.#byFirst.delete(firstKey(node.hashes, 0));
    const above = node.parent?.of(worker);
    if (above) above.below--;
    this.#count(node, worker, -1);
  }

  #count(node: Node, worker: WorkerIndex, sign: 1 | -1): void {
    this.#blocks[worker] = this.blocksOf(worker) + sign * node.blocks;
    this.#heldBlocks += sign * node.blocks;
  }

  /** Splits a node after its first `blocks` blocks. The lower part keeps the object. @returns the new upper part */
  #split(lower: Node, blocks: number): Node {
    const upper = new Node(lower.hashes.slice(0, 2 * blocks), lower.parent);
    for (const { worker, usedAt } of lower.tenancies) upper.tenancies.push({ node: upper, worker, usedAt, below: 1 });
    lower.hashes = lower.hashes.slice(2 * blocks);
    lower.parent = upper;
    this.#byFirst.set(firstKey(upper.hashes, 0), upper);
    this.#byFirst.set(firstKey(lower.hashes, 0), lower);
    return upper;
  }
}

/**
 * 53 of a block's 64 hash bits, as many as a number holds exactly. A collision costs one cache miss. Where a map puts a
 * number is known, so clients must not be able to choose it.
 */
function firstKey(sequence: Uint32Array, block: number): number {
  const low = (sequence[2 * block]! ^ lowMask) >>> 0;
  return low + ((sequence[2 * block + 1]! ^ highMask) & 0x1fffff) * 2 ** 32;
}

/**
 * Number of the node's leading blocks that the prompt has at block `at`. At least 1, since the node was found by its
 * first block. O(log n)
 */
function matchLength(node: Node, { sequence, count }: BlockHashes, at: number): number {
  const length = Math.min(node.blocks, count - at);
  let matched = 1;
  let parted = length + 1;
  while (parted - matched > 1) {
    const probe = matched === 1 && parted === length + 1 ? length : (matched + parted) >>> 1;
    const from = 2 * (probe - 1);
    const to = 2 * (at + probe - 1);
    if (node.hashes[from] === sequence[to] && node.hashes[from + 1] === sequence[to + 1]) matched = probe;
    else parted = probe;
  }
  return matched;
}
