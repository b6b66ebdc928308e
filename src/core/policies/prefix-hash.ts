// Prefix-hash policy: consistent hashing of the prompt's first tokens with bounded load, like SMG's `prefix_hash`.

import type { Candidates } from '../choice/candidates.ts';
import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';
import type { BlockHashes } from '../types.ts';
import { finestHashes } from './finest-hashes.ts';
import { HashRing } from './hash-ring.ts';

export interface PrefixHashOptions {
  /** The key is the block that contains the last of these tokens, or the last full block of a shorter prompt. Default 256. */
  readonly prefixTokens?: number;
  /** Points per worker on the ring. Default 150. */
  readonly nodesPerWorker?: number;
  /** A worker with more than this many times the average requests in flight is skipped. Default 1.25. */
  readonly loadBound?: number;
  /** ... unless it exceeds the average by at most this many requests. Default 10. */
  readonly loadSlack?: number;
}

/**
 * Walks the ring from the hash of the prompt's first tokens to the first worker whose load is at most max(loadBound x
 * average, average + loadSlack). Load = requests in flight, and so is the cost column. A prompt without a full block
 * goes to the worker with the fewest requests. Source: SMG `prefix_hash` as of November 2026 with its defaults (earlier
 * versions have no slack: `loadSlack` 0); its hashes (xxh3, BLAKE3) differ from ours, which moves keys but does not
 * change the shares.
 */
export function prefixHash(options: PrefixHashOptions = {}): Policy<null> {
  const { prefixTokens = 256, nodesPerWorker = 150, loadBound = 1.25, loadSlack = 10 } = options;
  const ring = new HashRing(nodesPerWorker);
  /** Scratch: worker -> row of the candidate within the bound. -1 otherwise, and always between choices. */
  let positions = new Int32Array(0);

  function walk(candidates: Candidates, low: number, high: number): number {
    const { count, worker, runningRequests } = candidates;
    const workerCount = worker[count - 1]! + 1;
    ring.cover(workerCount);
    if (positions.length < workerCount) positions = new Int32Array(2 * workerCount).fill(-1);
    let total = 0;
    for (let i = 0; i < count; i++) total += runningRequests[i]!;
    const average = total / count;
    const most = Math.max(loadBound * average, average + loadSlack);
    for (let i = 0; i < count; i++) if (runningRequests[i]! <= most) positions[worker[i]!] = i;
    const start = ring.start(low, high);
    let found = -1;
    for (let step = 0; step < ring.length && found < 0; step++) {
      found = positions[ring.workerAt((start + step) % ring.length)] ?? -1;
    }
    for (let i = 0; i < count; i++) positions[worker[i]!] = -1;
    return found;
  }

  return {
    name: 'prefix-hash',
    monotone: false,
    usesOverlap: false,
    init: () => null,
    choose(request, candidates, random): Choice {
      const { count, cost, runningRequests } = candidates;
      for (let i = 0; i < count; i++) cost[i] = runningRequests[i]!;
      const hashes = finestHashes(request);
      if (!hashes || count === 1) return lowestCost(candidates, random);
      const block = keyBlock(hashes, prefixTokens);
      const position = walk(candidates, hashes.sequence[2 * block]!, hashes.sequence[2 * block + 1]!);
      return position < 0 ? lowestCost(candidates, random) : { position, reason: 'affinity' };
    },
  };
}

function keyBlock(hashes: BlockHashes, prefixTokens: number): number {
  return Math.min(Math.ceil(prefixTokens / hashes.blockTokens), hashes.count) - 1;
}
