// The candidates of one choice: one row per worker that may take the request, stored as columns.

import type { CandidateCost, WorkerIndex } from '../types.ts';

/** Words per candidate in `Candidates.copy`. */
const columnsPerCandidate = 11;

/**
 * Scratch that the router fills before each choice. The policy reads it and writes `cost`. Rows are in order of worker
 * index.
 */
export class Candidates {
  count = 0;
  worker: Int32Array = new Int32Array(0);
  blockSize: Int32Array = new Int32Array(0);
  /** This column and those down to `newBlocks` are sums over the prompts of the request. */
  overlapBlocks: Int32Array = new Int32Array(0);
  promisedBlocks: Int32Array = new Int32Array(0);
  overlapTokens: Float64Array = new Float64Array(0);
  uncachedTokens: Float64Array = new Float64Array(0);
  newBlocks: Int32Array = new Int32Array(0);
  /** The part of `newBlocks` that is not full prompt blocks. */
  newOwnBlocks: Int32Array = new Int32Array(0);
  activePrefillTokens: Float64Array = new Float64Array(0);
  activeBlocks: Int32Array = new Int32Array(0);
  /** The part of `activeBlocks` that is not full prompt blocks. */
  ownBlocks: Int32Array = new Int32Array(0);
  runningRequests: Int32Array = new Int32Array(0);
  /** Tokens to subtract from the cost, from the request's affinity. Only policies whose cost is in tokens use it. */
  affinityTokens: Float64Array = new Float64Array(0);
  /** The lowest wins. Zero if the policy has no cost. */
  cost: Float64Array = new Float64Array(0);

  /** Removes all rows and allocates columns for `capacity` candidates. */
  reset(capacity: number): void {
    this.count = 0;
    if (capacity <= this.worker.length) return;
    this.worker = new Int32Array(capacity);
    this.blockSize = new Int32Array(capacity);
    this.overlapBlocks = new Int32Array(capacity);
    this.promisedBlocks = new Int32Array(capacity);
    this.overlapTokens = new Float64Array(capacity);
    this.uncachedTokens = new Float64Array(capacity);
    this.newBlocks = new Int32Array(capacity);
    this.newOwnBlocks = new Int32Array(capacity);
    this.ownBlocks = new Int32Array(capacity);
    this.activePrefillTokens = new Float64Array(capacity);
    this.activeBlocks = new Int32Array(capacity);
    this.runningRequests = new Int32Array(capacity);
    this.affinityTokens = new Float64Array(capacity);
    this.cost = new Float64Array(capacity);
  }

  /** Keeps only the candidates whose flag is not 0. */
  keep(flags: Uint8Array): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (flags[i] === 0) continue;
      if (kept < i) for (const column of this.#filled()) column[kept] = column[i]!;
      kept++;
    }
    this.count = kept;
  }

  #filled(): (Int32Array | Float64Array)[] {
    return [
      this.worker,
      this.blockSize,
      this.overlapBlocks,
      this.promisedBlocks,
      this.overlapTokens,
      this.uncachedTokens,
      this.newBlocks,
      this.newOwnBlocks,
      this.activePrefillTokens,
      this.activeBlocks,
      this.ownBlocks,
      this.runningRequests,
      this.affinityTokens,
    ];
  }

  /** O(candidates) */
  bestOverlapTokens(): number {
    let best = 0;
    for (let i = 0; i < this.count; i++) best = Math.max(best, this.overlapTokens[i]!);
    return best;
  }

  /** Copies all rows, so that they outlive the next choice. Read the copy with `expand`. */
  copy(): Float64Array {
    const rows = new Float64Array(this.count * columnsPerCandidate);
    for (let i = 0, at = 0; i < this.count; i++) {
      rows[at++] = this.worker[i]!;
      rows[at++] = this.cost[i]!;
      rows[at++] = this.overlapBlocks[i]!;
      rows[at++] = this.promisedBlocks[i]!;
      rows[at++] = this.overlapTokens[i]!;
      rows[at++] = this.uncachedTokens[i]!;
      rows[at++] = this.activePrefillTokens[i]!;
      rows[at++] = this.activeBlocks[i]!;
      rows[at++] = this.newBlocks[i]!;
      rows[at++] = this.runningRequests[i]!;
      rows[at++] = this.affinityTokens[i]!;
    }
    return rows;
  }
}

/** Converts the rows of `Candidates.copy` to objects. */
export function expand(rows: Float64Array): CandidateCost[] {
  const costs: CandidateCost[] = [];
  for (let at = 0; at < rows.length; at += columnsPerCandidate) {
    costs.push({
      worker: rows[at]! as WorkerIndex,
      cost: rows[at + 1]!,
      overlapBlocks: rows[at + 2]!,
      promisedBlocks: rows[at + 3]!,
      overlapTokens: rows[at + 4]!,
      uncachedTokens: rows[at + 5]!,
      activePrefillTokens: rows[at + 6]!,
      activeBlocks: rows[at + 7]!,
      newBlocks: rows[at + 8]!,
      runningRequests: rows[at + 9]!,
      affinityTokens: rows[at + 10]!,
    });
  }
  return costs;
}
