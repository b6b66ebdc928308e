// The candidates of one choice: one row per worker that may take the request, stored as columns.

import type { WorkerIndex } from '../types.ts';

const unset = new Float64Array(0);

/**
 * Scratch that the router fills before each choice. The policy reads it and writes `cost`. Rows are in order of worker
 * index. Every column is declared here and nowhere else: a field that is a Float64Array is a column, and appears under
 * its name in `CandidateCost`.
 */
export class Candidates {
  count = 0;
  /** Workers that the request had to leave free for other tenants; they have no row any more. */
  keptWorkers = 0;
  worker: Float64Array = unset;
  /** In the policy's own unit (tokens for `kv`, ms x blocks for `foresee`). The lowest wins. 0 if there is no cost. */
  cost: Float64Array = unset;
  /** Leading prompt blocks that the worker holds or is computing for requests in flight, summed over the prompts. */
  overlapBlocks: Float64Array = unset;
  /**
   * Leading prompt blocks that requests in flight on the worker contain, whether or not the engine has announced them.
   */
  promisedBlocks: Float64Array = unset;
  overlapTokens: Float64Array = unset;
  /** Prompt tokens that the worker would have to compute. */
  uncachedTokens: Float64Array = unset;
  /** Prompt tokens that are booked and not computed yet. This column and the next three include other routers' load. */
  activePrefillTokens: Float64Array = unset;
  activeBlocks: Float64Array = unset;
  /** The part of `activeBlocks` that is not full prompt blocks. */
  ownBlocks: Float64Array = unset;
  /** Blocks that this request would add to `activeBlocks`. */
  newBlocks: Float64Array = unset;
  /** The part of `newBlocks` that is not full prompt blocks. */
  newOwnBlocks: Float64Array = unset;
  runningRequests: Float64Array = unset;
  /** Other routers' part of `activePrefillTokens`. */
  othersPrefillTokens: Float64Array = unset;
  /** Other routers' part of `activeBlocks`. */
  othersBlocks: Float64Array = unset;
  /** Other routers' part of `runningRequests`. */
  othersRequests: Float64Array = unset;
  blockSize: Float64Array = unset;
  /** Tokens that `RouteRequest.affinity` subtracts from the cost. `kv` and `foresee` use it. */
  affinityTokens: Float64Array = unset;
  /** Share of the worker's KV capacity in use, were the request placed there. 0 if the capacity is not known. */
  kvUsage: Float64Array = unset;
  /** Predicted time of computing the request's uncached tokens. This column and those below: 0 unless `usesSpeed`. */
  prefillMs: Float64Array = unset;
  /** Predicted time until the prefill that is booked on the worker is done. */
  backlogMs: Float64Array = unset;
  /** Predicted time from now to the request's first token. */
  ttftMs: Float64Array = unset;
  /** Predicted time per output token after the first. */
  tpotMs: Float64Array = unset;
  /** Share of the recent prefill work that went to this worker, relative to its share of the pool's KV. 1: its share. */
  prefillShare: Float64Array = unset;
  /** How many times slower the worker is than its pool. 1: as fast. */
  slowness: Float64Array = unset;

  /** Removes all rows and allocates columns for `capacity` candidates. */
  reset(capacity: number): void {
    this.count = 0;
    this.keptWorkers = 0;
    if (capacity <= this.worker.length) return;
    const all = new Float64Array(capacity * columnNames.length);
    for (const [i, name] of columnNames.entries()) this[name] = all.subarray(i * capacity, (i + 1) * capacity);
  }

  /** Keeps only the candidates whose flag is not 0. */
  keep(flags: Uint8Array): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (flags[i] === 0) continue;
      if (kept < i) for (const name of columnNames) this[name][kept] = this[name][i]!;
      kept++;
    }
    this.count = kept;
  }

  /** O(candidates) */
  bestOverlapTokens(): number {
    let best = 0;
    for (let i = 0; i < this.count; i++) best = Math.max(best, this.overlapTokens[i]!);
    return best;
  }

  /** Copies all columns, so that they outlive the next choice. Read the copy with `expand`. */
  copy(): Float64Array {
    // The columns lie in one buffer, so that a decision costs one copy.
    return new Float64Array(this.worker.buffer.slice(0));
  }
}

type ColumnName = {
  [Key in keyof Candidates]: Candidates[Key] extends Float64Array ? Key : never;
}[keyof Candidates];

type RowOf<Columns> = { readonly [Name in keyof Columns]: number };

/** All cost terms of one candidate: the columns of `Candidates`. The lowest cost wins. */
export type CandidateCost = Omit<RowOf<Pick<Candidates, ColumnName>>, 'worker'> & { readonly worker: WorkerIndex };

const fresh = new Candidates();
const columnNames = (Object.keys(fresh) as (keyof Candidates)[]).filter(
  (key): key is ColumnName => fresh[key] instanceof Float64Array,
);

/** Converts the first `count` rows of `Candidates.copy` to objects. */
export function expand(rows: Float64Array, count: number): CandidateCost[] {
  const capacity = rows.length / columnNames.length;
  return Array.from({ length: count }, (_, row) => {
    const cells = columnNames.map((name, i) => [name, rows[i * capacity + row]!] as const);
    return Object.fromEntries(cells) as CandidateCost;
  });
}
