// Active blocks of a worker that requests of several routers have in common.
//
// Each router tells how many distinct blocks its own requests have on a worker, and the others add these totals up. A
// block that requests of k routers contain is then counted k times. So the chains of all routers' requests in flight
// are kept here, as samples: once for each router and once for all together. Per worker, the difference is what the sum
// counts too often. A chain that is not known here (its message was lost, or there was no room) adds nothing to the
// difference, so that the sum is then too high, and never below what one router alone has told.

import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import { chainOf, SampledQuery, sampledCounts } from '../blocks/sampled-chain.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';
import type { WorkerTable } from './worker-table.ts';

/** The chains of one router. */
export class RouterChains {
  readonly runs: PrefixRuns = new PrefixRuns(sampledCounts);
}

/** The prompt of one request in flight. */
export interface ActiveChain {
  readonly router: RouterChains;
  readonly worker: WorkerIndex;
  /** Its last runs among those of its router, and of all. */
  readonly own: Run | null;
  readonly any: Run | null;
}

export class CommonBlocks {
  readonly #workers: WorkerTable;
  readonly #all = new PrefixRuns(sampledCounts);
  readonly #query = new SampledQuery();

  constructor(workers: WorkerTable) {
    this.#workers = workers;
  }

  get isEmpty(): boolean {
    return this.#all.runCount === 0;
  }

  /**
   * A request of the router has begun on the worker. O(runs on the path)
   * @param samples made by `sampledBlocks`; kept, so it must not change
   */
  add(router: RouterChains, worker: WorkerIndex, samples: Uint32Array): ActiveChain {
    const chain = chainOf(samples);
    const own = router.runs.insert(chain, worker);
    const any = this.#all.insert(chain, worker);
    this.#workers.commonBlocks[worker]! += router.runs.insertedBlocks - this.#all.insertedBlocks;
    return { router, worker, own, any };
  }

  /** It has ended. Call once for each `add`. O(runs on the path) */
  remove({ router, worker, own, any }: ActiveChain): void {
    if (own === null || any === null) return;
    this.#workers.commonBlocks[worker]! -= router.runs.remove(own, worker) - this.#all.remove(any, worker);
  }

  /** Raises `out[w]` to the number of leading prompt blocks that known requests on w contain, rounded down. */
  raiseLeadingRuns(hashes: BlockHashes, out: Int32Array): void {
    // The first sample is the first block.
    if (this.#all.hasStart(hashes)) this.#all.raiseLeadingRuns(this.#query.of(hashes), out);
  }

  assertConsistent(): void {
    this.#all.assertConsistent();
  }
}
