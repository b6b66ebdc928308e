// Consistent-hash ring of workers.

import type { WorkerIndex } from '../types.ts';

/** A ring point and its worker in one number: point x 2^14 + worker. A router has at most 2^14 workers. */
const workersMax = 16_384;

/** Points depend on worker indexes only. A missing worker is skipped, and its absence moves no other worker. */
export class HashRing {
  readonly #nodesPerWorker: number;
  #points: Float64Array = new Float64Array(0);
  #covered = 0;

  /** @param nodesPerWorker virtual nodes; more of them make the shares more even */
  constructor(nodesPerWorker: number) {
    this.#nodesPerWorker = nodesPerWorker;
  }

  /** Puts workers 0 .. `workerCount` - 1 on the ring. The ring grows by doubling, in O(n log n). */
  cover(workerCount: number): void {
    if (workerCount <= this.#covered) return;
    while (this.#covered < workerCount) this.#covered = Math.max(8, 2 * this.#covered);
    this.#points = new Float64Array(this.#covered * this.#nodesPerWorker);
    for (let i = 0; i < this.#points.length; i++) {
      const worker = Math.floor(i / this.#nodesPerWorker);
      this.#points[i] = mix(i ^ ringSeed) * workersMax + worker;
    }
    this.#points.sort();
  }

  get length(): number {
    return this.#points.length;
  }

  /**
   * Index of the first ring point at or after the key. The walk continues upwards and wraps from `length` to 0. O(log
   * n)
   */
  start(keyLow: number, keyHigh: number): number {
    const key = mix(keyLow ^ mix(keyHigh)) * workersMax;
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#points[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low === this.#points.length ? 0 : low;
  }

  workerAt(step: number): WorkerIndex {
    return this.#points[step]! % workersMax;
  }
}

const ringSeed = 0x2545f491;

/** The finaliser of MurmurHash3 (Appleby, public domain): every input bit affects every output bit. */
function mix(word: number): number {
  let z = word | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}
