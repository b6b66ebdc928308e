// Compressed prefix tree of block chains, counted per worker. Chains are inserted and removed as a whole.
//
// A run is a stretch of blocks without a branch. Sequence hashes are chained, so a match at one block proves all blocks
// before it: one comparison checks a whole run, and bisection finds where two chains diverge. Inserting, removing and
// matching cost O(runs on the path) instead of O(blocks). With a block, a worker always has all blocks before it.

import { assert } from '../assert.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';
import { HashTable } from './hash-table.ts';

/** A run of blocks `start` .. `end - 1` of the chain `sequence` (two words a block). */
export class Run {
  sequence: Uint32Array;
  start: number;
  readonly end: number;
  parent: Run | null;
  /** Runs below this one, and their ids combined by exclusive or: the id of the child if there is only one. */
  childCount = 0;
  childIds = 0;
  id = 0;
  /** Chains of all workers that pass through or end in this run. */
  total: number;
  /** The workers of those chains. `counts` has the number of chains of each. */
  readonly workers: WorkerIndex[];
  readonly counts: number[];

  constructor(
    sequence: Uint32Array,
    start: number,
    end: number,
    parent: Run | null,
    workers: WorkerIndex[],
    counts: number[],
    total: number,
  ) {
    this.sequence = sequence;
    this.start = start;
    this.end = end;
    this.parent = parent;
    this.workers = workers;
    this.counts = counts;
    this.total = total;
  }
}

export class PrefixRuns {
  /** Blocks that the last `insert` added for its worker. */
  insertedBlocks = 0;
  /** For chains of samples: blocks up to and including each. Null: every block is in the chain. */
  readonly #blocksUpTo: readonly number[] | null;
  /**
   * Parent and first block of a run -> run id. Not the block alone: other routers' chains may be no chains, and the same
   * hash at two places would lead a walk back to where it came from.
   */
  readonly #byFirst = new HashTable(1);
  readonly #runs: (Run | undefined)[] = [];
  readonly #freeIds: number[] = [];

  constructor(blocksUpTo: readonly number[] | null = null) {
    this.#blocksUpTo = blocksUpTo;
  }

  /** Number of runs. 0 when the tree is empty. */
  get runCount(): number {
    return this.#byFirst.size;
  }

  /**
   * Adds one chain of a worker and sets `insertedBlocks` to the number of blocks that are new for the worker.
   * @returns the chain's last run, to be passed to `remove`; null for a chain without blocks
   */
  insert(hashes: BlockHashes, worker: WorkerIndex): Run | null {
    const { sequence, count } = hashes;
    let last: Run | null = null;
    let at = 0;
    let added = 0;
    while (at < count) {
      let run = this.#below(last, sequence, at);
      if (!run) {
        // Arrays that are made with their first item take a tenth of the memory of empty ones that get it.
        run = this.#attach(new Run(sequence, at, count, last, [worker], [1], 1));
        added += this.#blocksIn(run);
      } else {
        const matched = matchLength(run, sequence, count);
        if (matched < run.end - run.start) run = this.#split(run, run.start + matched);
        if (join(run, worker)) added += this.#blocksIn(run);
      }
      at = run.end;
      last = run;
    }
    this.insertedBlocks = added;
    return last;
  }

  /**
   * Removes one chain of a worker.
   * @param last what `insert` returned
   * @returns how many blocks the worker no longer has
   */
  remove(last: Run, worker: WorkerIndex): number {
    let removed = 0;
    let survivor: Run | null = null;
    for (let run: Run | null = last; run !== null; ) {
      const above: Run | null = run.parent;
      if (leave(run, worker)) removed += this.#blocksIn(run);
      if (run.total === 0) this.#detach(run);
      else survivor ??= run;
      run = above;
    }
    if (survivor) this.#mergeDown(survivor);
    return removed;
  }

  /** Whether any chain begins like this one. O(1) */
  hasStart({ sequence, count }: BlockHashes): boolean {
    return count > 0 && this.#below(null, sequence, 0) !== undefined;
  }

  /** Raises `out[w]` to the number of leading prompt blocks that w's chains contain. */
  raiseLeadingRuns(hashes: BlockHashes, out: Int32Array): void {
    const { sequence, count } = hashes;
    const blocksUpTo = this.#blocksUpTo;
    let at = 0;
    let above: Run | null = null;
    while (at < count) {
      const run: Run | undefined = this.#below(above, sequence, at);
      if (!run) return;
      const matched = matchLength(run, sequence, count);
      const blocks = blocksUpTo === null ? at + matched : blocksUpTo[at + matched - 1]!;
      const { workers } = run;
      for (let i = 0; i < workers.length; i++) if (blocks > out[workers[i]!]!) out[workers[i]!] = blocks;
      if (matched < run.end - run.start) return;
      at = run.end;
      above = run;
    }
  }

  /**
   * Adds to `out[w]` the number of leading prompt blocks that w's chains contain. O(runs on the path and their workers)
   */
  addLeadingRuns(hashes: BlockHashes, out: Int32Array): void {
    const { sequence, count } = hashes;
    let at = 0;
    let above: Run | null = null;
    while (at < count) {
      const run: Run | undefined = this.#below(above, sequence, at);
      if (!run) return;
      const matched = matchLength(run, sequence, count);
      const workers = run.workers;
      for (let i = 0; i < workers.length; i++) out[workers[i]!] = out[workers[i]!]! + matched;
      if (matched < run.end - run.start) return;
      at = run.end;
      above = run;
    }
  }

  /** Adds to `out[w]` the number of blocks that more than one chain of w has. O(runs x their workers) */
  addSharedBlocks(out: Int32Array): void {
    for (const run of this.#runs) {
      if (!run) continue;
      const blocks = this.#blocksIn(run);
      for (let i = 0; i < run.workers.length; i++) if (run.counts[i]! > 1) out[run.workers[i]!]! += blocks;
    }
  }

  /** Walks the tree and checks its structure. @throws Error naming the broken invariant */
  assertConsistent(): void {
    let seen = 0;
    const below = new Map<Run, Run[]>();
    for (const run of this.#runs) {
      if (!run?.parent) continue;
      const siblings = below.get(run.parent);
      if (siblings) siblings.push(run);
      else below.set(run.parent, [run]);
    }
    for (const run of this.#runs) {
      if (!run) continue;
      seen++;
      assert(run.total > 0 && run.total === run.counts.reduce((sum, count) => sum + count, 0), 'a run has chains');
      assert(
        run.counts.every((count) => count > 0),
        'a worker of a run has chains in it',
      );
      assert(run.start < run.end, 'a run has blocks');
      assert(this.#below(run.parent, run.sequence, run.start) === run, 'a run is found below its parent');
      assert(run.start === (run.parent?.end ?? 0), 'a run starts where its parent ends');
      const children = below.get(run) ?? [];
      const passing = children.reduce((sum, child) => sum + child.total, 0);
      assert(passing <= run.total, 'chains below a run pass through it');
      const ids = children.reduce((combined, child) => combined ^ child.id, 0);
      assert(run.childCount === children.length && run.childIds === ids, 'a run knows its children');
    }
    assert(seen === this.#byFirst.size, 'every run is found below its parent');
  }

  #blocksIn({ start, end }: Run): number {
    const upTo = this.#blocksUpTo;
    return upTo === null ? end - start : upTo[end - 1]! - (start === 0 ? 0 : upTo[start - 1]!);
  }

  /** The run below `parent` that starts with a block of the sequence. */
  #below(parent: Run | null, sequence: Uint32Array, block: number): Run | undefined {
    const at = this.#byFirst.find(sequence[2 * block]! ^ saltOf(parent), sequence[2 * block + 1]! | 0);
    const run = at < 0 ? undefined : this.#runs[this.#byFirst.slots[at + 2]!];
    return run?.parent === parent ? run : undefined;
  }

  #attach(run: Run): Run {
    run.id = this.#freeIds.pop() ?? this.#runs.length;
    this.#runs[run.id] = run;
    this.#pointFirst(run);
    if (run.parent) {
      run.parent.childCount++;
      run.parent.childIds ^= run.id;
    }
    return run;
  }

  #pointFirst(run: Run): void {
    const { parent, sequence, start } = run;
    const at = this.#byFirst.insert(sequence[2 * start]! ^ saltOf(parent), sequence[2 * start + 1]! | 0);
    this.#byFirst.slots[at + 2] = run.id;
  }

  #forgetFirst({ parent, sequence, start }: Run): void {
    const at = this.#byFirst.find(sequence[2 * start]! ^ saltOf(parent), sequence[2 * start + 1]! | 0);
    assert(at >= 0, 'a run is found below its parent');
    this.#byFirst.remove(at);
  }

  #detach(run: Run): void {
    assert(run.childCount === 0, 'a run without chains has no children');
    this.#forgetFirst(run);
    this.#free(run);
    if (run.parent === null) return;
    run.parent.childCount--;
    run.parent.childIds ^= run.id;
  }

  #free(run: Run): void {
    this.#runs[run.id] = undefined;
    this.#freeIds.push(run.id);
  }

  /**
   * Splits a run before block `at`. The lower part keeps the object, because chains refer to it as their last run.
   * @returns the new upper part
   */
  #split(lower: Run, at: number): Run {
    const { sequence, start, parent, workers, counts, total } = lower;
    const upper = new Run(sequence, start, at, parent, workers.slice(), counts.slice(), total);
    upper.id = this.#freeIds.pop() ?? this.#runs.length;
    this.#runs[upper.id] = upper;
    this.#pointFirst(upper);
    if (parent) parent.childIds ^= lower.id ^ upper.id;
    upper.childCount = 1;
    upper.childIds = lower.id;
    // Its key, below the same parent, is the upper part's now.
    lower.parent = upper;
    lower.start = at;
    this.#pointFirst(lower);
    return upper;
  }

  /**
   * Merges a run with its only child if no chain ends in it, so that of chains no run is left over from a split. Of
   * sequences that are no chains some may be left, at most one a block.
   */
  #mergeDown(upper: Run): void {
    if (upper.childCount !== 1) return;
    const child = this.#runs[upper.childIds]!;
    if (child.total !== upper.total) return;
    // Unless they are no chains: then the child would have a key that another run may have.
    if (!sameBlock(child.sequence, upper.sequence, upper.start)) return;
    this.#forgetFirst(child);
    this.#free(upper);
    child.start = upper.start;
    child.parent = upper.parent;
    if (upper.parent) upper.parent.childIds ^= upper.id ^ child.id;
    this.#pointFirst(child);
  }
}

/** Differs between parents. Signed, as the words of keys: V8 puts numbers from 2^31 on the heap. */
function saltOf(parent: Run | null): number {
  return parent === null ? 0 : Math.imul(parent.id + 1, 0x9e3779b1);
}

/**
 * Number of the run's leading blocks that the prompt has too. At least 1, since the caller found the run by its first
 * block.
 */
function matchLength(run: Run, sequence: Uint32Array, count: number): number {
  const length = Math.min(run.end, count) - run.start;
  if (sameBlock(run.sequence, sequence, run.start + length - 1)) return length;
  let matched = 1;
  let parted = length;
  while (parted - matched > 1) {
    const middle = (matched + parted) >>> 1;
    if (sameBlock(run.sequence, sequence, run.start + middle - 1)) matched = middle;
    else parted = middle;
  }
  return matched;
}

function sameBlock(a: Uint32Array, b: Uint32Array, block: number): boolean {
  return a[2 * block] === b[2 * block] && a[2 * block + 1] === b[2 * block + 1];
}

/** @returns whether the worker had no chain in the run before */
function join(run: Run, worker: WorkerIndex): boolean {
  run.total++;
  const index = run.workers.indexOf(worker);
  if (index >= 0) {
    run.counts[index]!++;
    return false;
  }
  run.workers.push(worker);
  run.counts.push(1);
  return true;
}

/** @returns whether that was the worker's last chain in the run */
function leave(run: Run, worker: WorkerIndex): boolean {
  const index = run.workers.indexOf(worker);
  assert(index >= 0, 'a removed chain is in its runs');
  run.total--;
  if (--run.counts[index]! > 0) return false;
  // The run goes, with its only worker.
  if (run.total === 0) return true;
  const lastWorker = run.workers.pop()!;
  const lastCount = run.counts.pop()!;
  if (index < run.workers.length) {
    run.workers[index] = lastWorker;
    run.counts[index] = lastCount;
  }
  return true;
}
