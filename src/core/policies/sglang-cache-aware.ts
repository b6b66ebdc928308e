// SGLang's cache-aware policy in tree mode: the owner of a long enough prefix match, otherwise the least loaded worker.

import type { Candidates } from '../choice/candidates.ts';
import type { Choice, Policy } from '../choice/policy.ts';
import type { WorkerIndex } from '../types.ts';
import { finestHashes } from './finest-hashes.ts';
import { TenantTree } from './tenant-tree.ts';

export interface SglangCacheAwareOptions {
  /** Defaults of the options below: those of SMG's command line or of its library. Default `cli`. */
  readonly defaults?: keyof typeof defaultSets;
  /** Share of the prompt that must be exceeded by the match for its owner to be chosen. */
  readonly cacheThreshold?: number;
  /** The fleet is out of balance if max - min requests > `balanceAbs` and max > `balanceRel` x min. */
  readonly balanceAbs?: number;
  readonly balanceRel?: number;
  /** Most tokens per worker in the tree after an eviction. */
  readonly treeTokensMax?: number;
  readonly evictionIntervalMs?: number;
  /** Most blocks in the tree over all workers. Above, each worker is cut to its share of half of this. Default 2^23. */
  readonly heldBlocksMax?: number;
  /** Rule for a prompt without an owner. `smallest-tree` is the rule of older versions. Default `least-requests`. */
  readonly missRule?: 'least-requests' | 'smallest-tree';
}

const defaultSets = {
  library: {
    cacheThreshold: 0.5,
    balanceAbs: 32,
    balanceRel: 1.1,
    evictionIntervalMs: 30_000,
    treeTokensMax: 10_000,
  },
  cli: {
    cacheThreshold: 0.3,
    balanceAbs: 64,
    balanceRel: 1.5,
    evictionIntervalMs: 120_000,
    treeTokensMax: 67_108_864,
  },
} as const;

interface State {
  readonly tree: TenantTree;
  /** Prompts sent to each worker so far. */
  readonly processed: number[];
  /** Undefined before the first prompt. */
  evictedMs: number | undefined;
}

/**
 * 1. Out of balance: the fewest requests in flight, ties by prompts processed so far, then by index.
 * 2. Else, if matched / ISL > `cacheThreshold`: the worker that the matched node was last sent to, or the first
 * candidate if that worker may not be chosen.
 * 3. Else the miss rule, with the same ties.
 * The prompt enters the tree when it is booked, in all three cases. The cost column holds the compared value: requests
 * in flight, or blocks in the tree. Not monotone, because the thresholds overrule the cost.
 *
 * Source: SMG `cache_aware` of mid-2026, tree mode, with its two sets of defaults: one owner a match, one gate for the
 * whole fleet. SMG of November 2026 weighs every owner and gates each candidate; in the lab that is no better with the
 * command line's defaults and up to 12 % better with the library's. Pages have the pool's smallest block size; the
 * partial last page is part of the ISL. The tree of a removed worker is dropped at once (in SMG it ages out), because
 * worker indexes are reused.
 */
export function sglangCacheAware(options: SglangCacheAwareOptions = {}): Policy<State> {
  const { defaults = 'cli', missRule = 'least-requests', heldBlocksMax = 2 ** 23, ...own } = options;
  const { cacheThreshold, balanceAbs, balanceRel, treeTokensMax, evictionIntervalMs } = {
    ...defaultSets[defaults],
    ...own,
  };

  function outOfBalance({ count, runningRequests }: Candidates): boolean {
    let least = runningRequests[0]!;
    let most = least;
    for (let i = 1; i < count; i++) {
      least = Math.min(least, runningRequests[i]!);
      most = Math.max(most, runningRequests[i]!);
    }
    return most - least > balanceAbs && most > balanceRel * least;
  }

  return {
    name: 'sglang-cache-aware',
    monotone: false,
    usesOverlap: false,
    init: () => ({ tree: new TenantTree(), processed: [], evictedMs: undefined }),
    choose(request, candidates, _random, { tree, processed }): Choice {
      const { count, worker, cost, runningRequests } = candidates;
      for (let i = 0; i < count; i++) cost[i] = runningRequests[i]!;
      if (count === 1) return { position: 0, reason: 'only' };
      if (outOfBalance(candidates)) return lowest(candidates, processed);
      const hashes = finestHashes(request);
      const match = hashes && tree.match(hashes);
      if (match && match.blocks * hashes.blockTokens > cacheThreshold * request.prompts[0]!.isl) {
        return { position: Math.max(0, positionOf(match.owner, candidates)), reason: 'affinity' };
      }
      if (missRule === 'smallest-tree') for (let i = 0; i < count; i++) cost[i] = tree.blocksOf(worker[i]!);
      return lowest(candidates, processed);
    },
    onBooked(state, { worker }, request): void {
      const { tree, processed } = state;
      processed[worker] = (processed[worker] ?? 0) + 1;
      state.evictedMs ??= request.nowMs;
      const hashes = finestHashes(request);
      if (!hashes) return;
      tree.insert(hashes, worker);
      if (request.nowMs - state.evictedMs >= evictionIntervalMs) {
        tree.evict(treeTokensMax / hashes.blockTokens);
        state.evictedMs = request.nowMs;
      }
      if (tree.heldBlocks > heldBlocksMax) tree.evict(heldBlocksMax / 2 / processed.length);
    },
    onWorkerRemoved({ tree, processed }, worker): void {
      tree.removeTenant(worker);
      processed[worker] = 0;
    },
  };
}

/** By cost, then requests in flight, then prompts processed so far, then index. */
function lowest({ count, worker, cost, runningRequests }: Candidates, processed: readonly number[]): Choice {
  let position = 0;
  let reason: Choice['reason'] = 'cost';
  for (let i = 1; i < count; i++) {
    const difference = cost[i]! - cost[position]!;
    const further =
      runningRequests[i]! - runningRequests[position]! ||
      (processed[worker[i]!] ?? 0) - (processed[worker[position]!] ?? 0);
    if (difference < 0) reason = 'cost';
    else if (difference === 0) reason = 'tie';
    if ((difference || further) < 0) position = i;
  }
  return { position, reason };
}

/** Row of the owner, or -1 if it is not a candidate. */
function positionOf(owner: WorkerIndex, { count, worker }: Candidates): number {
  for (let i = 0; i < count; i++) if (worker[i] === owner) return i;
  return -1;
}
