// Prefill share: how much of the pool's recent prefill work went to each worker, relative to its share of the KV cache.
//
// The load in flight does not include the prompts that a worker has just computed: they fill its cache, and more work
// there evicts them. Work is measured in the worker's KV capacity, and decays as the pool computes its capacity again.

import type { WorkerTable } from './worker-table.ts';

/** Added to every share, so that little work makes no difference. */
const floor = 0.25;
/** The sums are rescaled when their common factor reaches this exponent, long before they overflow. */
const exponentMax = 30;

/**
 * At each booking of u tokens every sum R is multiplied by exp(-u / KV tokens of the pool), then the worker's grows by
 * u. The sums are stored times exp(work so far), so that a booking changes only one of them.
 */
export class PrefillShare {
  readonly #workers: WorkerTable;
  #sums: Float64Array = new Float64Array(8);
  /** Work since the sums were last scaled, in KV tokens of the pool. */
  #work = 0;

  constructor(workers: WorkerTable) {
    this.#workers = workers;
  }

  reset(worker: number): void {
    if (worker >= this.#sums.length) {
      const grown = new Float64Array(2 * worker);
      grown.set(this.#sums);
      this.#sums = grown;
    }
    this.#sums[worker] = 0;
  }

  booked(worker: number, tokens: number, poolTokens: number): void {
    this.#work += Math.min(exponentMax, tokens / poolTokens);
    if (this.#work > exponentMax) {
      const scale = Math.exp(-this.#work);
      for (let w = 0; w < this.#sums.length; w++) this.#sums[w]! *= scale;
      this.#work = 0;
    }
    this.#sums[worker]! += Math.min(tokens, exponentMax * poolTokens) * Math.exp(this.#work);
  }

  /** Recent work of the worker in its own KV capacity, times a factor that all workers share; see `scale`. O(1) */
  scaledLoad(worker: number): number {
    return this.#sums[worker]! / (this.#workers.capacityBlocks[worker]! * this.#workers.blockSize[worker]!);
  }

  /** Turns `scaledLoad` into KV capacities of recent work. */
  get scale(): number {
    return Math.exp(-this.#work);
  }
}

/** @param load and mean in KV capacities of recent work */
export function shareOf(load: number, meanLoad: number): number {
  return (load + floor) / (meanLoad + floor);
}
