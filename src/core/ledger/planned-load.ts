// Load that a plan would add to each worker, on top of what is booked. Nothing here is booked.

import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';

/** One prompt in the plan. */
export interface PlannedPrompt {
  readonly worker: WorkerIndex;
  readonly last: Run | null;
}

/**
 * Columns by worker index, as in the worker table, and the block chains of the planned prompts. The columns depend only
 * on the set of planned prompts, not on the order of adding and removing.
 */
export class PlannedLoad {
  requests: Int32Array = new Int32Array(8);
  prefillTokens: Float64Array = new Float64Array(8);
  /** Distinct blocks that neither bookings nor other planned prompts have, plus `ownBlocks`. */
  blocks: Int32Array = new Int32Array(8);
  ownBlocks: Int32Array = new Int32Array(8);
  readonly runs: PrefixRuns = new PrefixRuns();

  /** Makes room for the workers. All columns must be zero, as they are after every plan. */
  reserve(workerCount: number): void {
    if (workerCount <= this.requests.length) return;
    this.requests = new Int32Array(2 * workerCount);
    this.prefillTokens = new Float64Array(2 * workerCount);
    this.blocks = new Int32Array(2 * workerCount);
    this.ownBlocks = new Int32Array(2 * workerCount);
  }

  /** Adds the chain, so that prompts planned later find its blocks. */
  insert(hashes: BlockHashes, worker: WorkerIndex): PlannedPrompt {
    return { worker, last: this.runs.insert(hashes, worker) };
  }

  remove({ worker, last }: PlannedPrompt): void {
    if (last) this.runs.remove(last, worker);
  }

  /** @param sign 1 to add the load of a prompt, -1 to subtract it; the terms are those without the prompt itself */
  addLoad(worker: WorkerIndex, sign: 1 | -1, prefillTokens: number, blocks: number, ownBlocks: number): void {
    this.requests[worker]! += sign;
    this.prefillTokens[worker]! += sign * prefillTokens;
    this.blocks[worker]! += sign * blocks;
    this.ownBlocks[worker]! += sign * ownBlocks;
  }

  /** Zeroes the columns. The chains are removed one by one. */
  clearLoads(): void {
    this.requests.fill(0);
    this.prefillTokens.fill(0);
    this.blocks.fill(0);
    this.ownBlocks.fill(0);
  }
}
