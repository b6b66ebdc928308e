// Load that a plan would add to each worker, on top of what is booked. Nothing here is booked.

import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';

/** One prompt in the plan. */
export interface PlannedPrompt {
  readonly worker: WorkerIndex;
  readonly last: Run | null;
}

/** The candidates' columns that are used here. */
interface NewLoad {
  readonly worker: Float64Array;
  readonly uncachedTokens: Float64Array;
  readonly prefillMs: Float64Array;
  readonly newBlocks: Float64Array;
  readonly newOwnBlocks: Float64Array;
}

/**
 * Columns by worker index, as in the worker table, and the block chains of the planned prompts. The columns depend only
 * on the set of planned prompts, not on the order of adding and removing.
 */
export class PlannedLoad {
  requests: Int32Array = new Int32Array(8);
  prefillTokens: Float64Array = new Float64Array(8);
  /** Its predicted time. 0 if the policy does not use the speed model. */
  prefillMs: Float64Array = new Float64Array(8);
  /** Distinct blocks that neither bookings nor other planned prompts have, plus `ownBlocks`. */
  blocks: Int32Array = new Int32Array(8);
  ownBlocks: Int32Array = new Int32Array(8);
  readonly runs: PrefixRuns = new PrefixRuns();

  /** Makes room for the workers. All columns must be zero, as they are after every plan. */
  reserve(workerCount: number): void {
    if (workerCount <= this.requests.length) return;
    this.requests = new Int32Array(2 * workerCount);
    this.prefillTokens = new Float64Array(2 * workerCount);
    this.prefillMs = new Float64Array(2 * workerCount);
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

  /**
   * @param sign 1 to add the load of a prompt, -1 to subtract it
   * @param candidates filled for the prompt, without the prompt itself
   */
  addLoad(sign: 1 | -1, { worker, uncachedTokens, prefillMs, newBlocks, newOwnBlocks }: NewLoad, row: number): void {
    const index = worker[row]!;
    this.requests[index]! += sign;
    this.prefillTokens[index]! += sign * uncachedTokens[row]!;
    this.prefillMs[index]! += sign * prefillMs[row]!;
    this.blocks[index]! += sign * newBlocks[row]!;
    this.ownBlocks[index]! += sign * newOwnBlocks[row]!;
  }

  /** Zeroes the columns. The chains are removed one by one. */
  clearLoads(): void {
    this.requests.fill(0);
    this.prefillTokens.fill(0);
    this.prefillMs.fill(0);
    this.blocks.fill(0);
    this.ownBlocks.fill(0);
  }
}
