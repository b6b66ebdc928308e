// Samples of a block chain: a few of its hashes, so that routers can tell each other of a prompt in few bytes.
//
// Sequence hashes are chained, so one equal hash proves all blocks before it. The samples lie closely at the beginning
// and further apart behind, so that what two chains have in common is rounded down by a fifth at most.

import type { BlockHashes } from '../types.ts';

/** Blocks up to and including the sampled one at each position: 1, 2 .. 8, 10, 12, 15 and so on, by a quarter. */
export const sampledCounts: readonly number[] = countsUpTo(2 ** 24);

function countsUpTo(end: number): number[] {
  const counts: number[] = [];
  for (let count = 1; count < end; count += Math.max(1, count >> 2)) counts.push(count);
  return counts;
}

/** How many samples a chain of `count` blocks has. O(log count) */
function sampleCount(count: number): number {
  let low = 0;
  let high = sampledCounts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sampledCounts[middle]! <= count) low = middle + 1;
    else high = middle;
  }
  return low;
}

export const samplesMax: number = sampledCounts.length;

/** Words that the samples of any chain take. */
const sampledWordsMax = 2 * samplesMax;

/**
 * The sampled hashes of a chain, two words each. O(log count)
 * @param out at least `sampledWordsMax` words @returns the number of samples
 */
function sampleInto({ sequence, count }: BlockHashes, out: Uint32Array): number {
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

/** A chain of samples, or any other sequence of two words a block. */
export function chainOf(sequence: Uint32Array): BlockHashes {
  return { blockSize: 1, count: sequence.length >>> 1, sequence, blockTokens: 1 };
}

/** Samples of one chain at a time, to look them up. */
export class SampledQuery {
  readonly #samples = new Uint32Array(sampledWordsMax);

  /** Valid until the next call. */
  of(hashes: BlockHashes): BlockHashes {
    return { blockSize: 1, count: sampleInto(hashes, this.#samples), sequence: this.#samples, blockTokens: 1 };
  }
}
