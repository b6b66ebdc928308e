// Promised blocks of other routers: prompts that they have sent to a worker and that no KV event has announced yet.
//
// A chain is either whole or sampled (see sampled-chain.ts), which rounds what it promises down.

import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import { chainOf, SampledQuery, sampledCounts } from '../blocks/sampled-chain.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';

export interface OthersPromise {
  readonly worker: WorkerIndex;
  readonly sampled: boolean;
  readonly last: Run | null;
}

export class OthersPromises {
  readonly #whole = new PrefixRuns();
  readonly #sampled = new PrefixRuns(sampledCounts);
  readonly #query = new SampledQuery();

  get isEmpty(): boolean {
    return this.#whole.runCount === 0 && this.#sampled.runCount === 0;
  }

  /** @param sequence two words a block; kept, so it must not change. @param sampled made by `sampledBlocks` */
  add(worker: WorkerIndex, sequence: Uint32Array, sampled: boolean): OthersPromise {
    const runs = sampled ? this.#sampled : this.#whole;
    return { worker, sampled, last: runs.insert(chainOf(sequence), worker) };
  }

  /** Call once for each `add`. */
  remove({ worker, sampled, last }: OthersPromise): void {
    if (last) (sampled ? this.#sampled : this.#whole).remove(last, worker);
  }

  /** Raises `out[w]` to the number of leading prompt blocks promised there. */
  raiseLeadingRuns(hashes: BlockHashes, out: Int32Array): void {
    this.#whole.raiseLeadingRuns(hashes, out);
    // The first sample is the first block.
    if (this.#sampled.hasStart(hashes)) this.#sampled.raiseLeadingRuns(this.#query.of(hashes), out);
  }

  assertConsistent(): void {
    this.#whole.assertConsistent();
    this.#sampled.assertConsistent();
  }
}
