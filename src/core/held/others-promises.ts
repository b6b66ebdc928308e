// Promised blocks of other routers: prompts that they have sent to a worker and that no KV event has announced yet.
//
// A chain is either whole or sampled: then it has only the hashes at the positions of `sampledBlocks`, which bounds its
// bytes and rounds what it promises down, by a fifth at most. Sequence hashes are chained, so one equal hash proves all
// blocks before it.

import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, WorkerIndex } from '../types.ts';

export interface OthersPromise {
  readonly worker: WorkerIndex;
  readonly sampled: boolean;
  readonly last: Run | null;
}

/** Blocks up to and including the sampled one at each position: 1, 2 .. 8, 10, 12, 15 and so on, by a quarter. */
const sampledCounts: number[] = [];
for (let count = 1; count < 2 ** 24; count += Math.max(1, count >> 2)) sampledCounts.push(count);

/** How many samples a chain of `count` blocks has. O(log count) */
export function sampleCount(count: number): number {
  let low = 0;
  let high = sampledCounts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sampledCounts[middle]! <= count) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Words that the samples of any chain take. */
export const sampledWordsMax: number = 2 * sampledCounts.length;

/**
 * The sampled hashes of a chain, two words each. O(log count)
 * @param out at least `sampledWordsMax` words @returns the number of samples
 */
export function sampleInto({ sequence, count }: BlockHashes, out: Uint32Array): number {
  const samples = sampleCount(count);
  for (let i = 0; i < samples; i++) {
    const block = sampledCounts[i]! - 1;
    out[2 * i] = sequence[2 * block]!;
    out[2 * i + 1] = sequence[2 * block + 1]!;
  }
  return samples;
}

/** The same in an array of their own. */
export function sampledBlocks(hashes: BlockHashes): Uint32Array {
  const samples = new Uint32Array(2 * sampleCount(hashes.count));
  sampleInto(hashes, samples);
  return samples;
}

export class OthersPromises {
  readonly #whole = new PrefixRuns();
  readonly #sampled = new PrefixRuns();
  /** Samples of the prompt that is looked up. */
  readonly #samples = new Uint32Array(sampledWordsMax);

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
    this.#whole.raiseLeadingRuns(hashes, out, null);
    // The first sample is the first block.
    if (!this.#sampled.hasStart(hashes)) return;
    const count = sampleInto(hashes, this.#samples);
    const samples = { blockSize: 1, count, sequence: this.#samples, blockTokens: 1 };
    this.#sampled.raiseLeadingRuns(samples, out, sampledCounts);
  }

  assertConsistent(): void {
    this.#whole.assertConsistent();
    this.#sampled.assertConsistent();
  }
}

function chainOf(sequence: Uint32Array): BlockHashes {
  return { blockSize: 1, count: sequence.length >>> 1, sequence, blockTokens: 1 };
}
