// Order in which one worker should compute prompts that share beginnings, so that their mean time to first token is
// lowest.
//
// A shared beginning is computed once, with the first prompt that has it. So the work forms a tree: each stretch of
// blocks needs those above it, and a prompt is done when its last block is. The order is optimal for one machine: the
// parts of the tree with the least work per finished prompt go first (W. A. Horn, SIAM J. Appl. Math. 23, 1972:
// 1 | outtree | sum w C). Prompts that share nothing go shortest first.

import type { BlockHashes } from '../types.ts';

export interface Job {
  readonly hashes: BlockHashes;
  readonly isl: number;
  /** Leading tokens that the worker need not compute. */
  readonly cachedTokens: number;
}

/** Jobs to be done one after the other, in the order of `jobs`. */
interface Batch {
  /** Tokens to compute. */
  work: number;
  /** Positions in the list of jobs. */
  readonly jobs: number[];
}

/** @returns positions in `jobs`, first to last. Equals keep their order. O(n log n) on shallow trees, at most O(n^2) */
export function orderOfWork(jobs: readonly Job[]): number[] {
  const sorted: number[] = [];
  for (let position = 0; position < jobs.length; position++) sorted.push(position);
  sorted.sort((a, b) => compare(jobs[a]!.hashes, jobs[b]!.hashes) || a - b);
  return batchesOf(jobs, sorted, 0, sorted.length, 0).flatMap((batch) => batch.jobs);
}

/**
 * Splits the jobs `sorted[low] .. sorted[high - 1]`, which share their first `depth` blocks, into batches in the order of
 * work per job. The first batch contains the work that they share beyond `depth`.
 */
function batchesOf(jobs: readonly Job[], sorted: readonly number[], low: number, high: number, depth: number): Batch[] {
  if (low === high) return [];
  const { hashes } = jobs[sorted[low]!]!;
  const last = jobs[sorted[high - 1]!]!.hashes;
  const shared = commonBlocks(hashes, last, depth);
  const batches: Batch[] = [];
  let at = low;
  // A chain that ends here comes before those that go on.
  for (; at < high && jobs[sorted[at]!]!.hashes.count === shared; at++) {
    const { isl, cachedTokens } = jobs[sorted[at]!]!;
    const blockTokens = shared * hashes.blockTokens;
    batches.push({ work: Math.max(0, isl - Math.max(blockTokens, cachedTokens)), jobs: [sorted[at]!] });
  }
  while (at < high) {
    const from = at;
    const { sequence } = jobs[sorted[from]!]!.hashes;
    do at++;
    while (at < high && sameBlock(sequence, jobs[sorted[at]!]!.hashes.sequence, shared));
    batches.push(...batchesOf(jobs, sorted, from, at, shared));
  }
  batches.sort(byWorkPerJob);
  const { cachedTokens } = jobs[sorted[low]!]!;
  const fromTokens = Math.max(depth * hashes.blockTokens, cachedTokens);
  const first: Batch = { work: Math.max(0, shared * hashes.blockTokens - fromTokens), jobs: [] };
  let taken = 0;
  while (taken < batches.length && (taken === 0 || byWorkPerJob(batches[taken]!, first) < 0)) {
    const { work, jobs: done } = batches[taken++]!;
    first.work += work;
    for (const job of done) first.jobs.push(job);
  }
  return [first, ...batches.slice(taken)];
}

function byWorkPerJob(a: Batch, b: Batch): number {
  return a.work * b.jobs.length - b.work * a.jobs.length || a.jobs[0]! - b.jobs[0]!;
}

/** Orders chains so that those with a common beginning are neighbours, and a chain precedes its continuations. */
function compare(a: BlockHashes, b: BlockHashes): number {
  const shared = commonBlocks(a, b, 0);
  if (shared === a.count || shared === b.count) return a.count - b.count;
  const low = a.sequence[2 * shared]! - b.sequence[2 * shared]!;
  return low !== 0 ? low : a.sequence[2 * shared + 1]! - b.sequence[2 * shared + 1]!;
}

/** Number of common leading blocks, at least `known`. Hashes are chained, so bisection finds it. */
function commonBlocks(a: BlockHashes, b: BlockHashes, known: number): number {
  let same = known;
  let parted = Math.min(a.count, b.count) + 1;
  while (parted - same > 1) {
    const middle = (same + parted) >>> 1;
    if (sameBlock(a.sequence, b.sequence, middle - 1)) same = middle;
    else parted = middle;
  }
  return same;
}

function sameBlock(a: Uint32Array, b: Uint32Array, block: number): boolean {
  return a[2 * block] === b[2 * block] && a[2 * block + 1] === b[2 * block + 1];
}
