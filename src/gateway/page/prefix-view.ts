// The prefix map as the page shows it: the hottest prefixes without repetitions, and the workers that hold each.

import type { Router, WorkerIndex } from '../../core/index.ts';
import type { Pools } from '../pools/pools.ts';
import type { PrefixMap, PrefixState } from './prefix-data.ts';
import { type HotPrefix, hitStepMs, type PrefixHeat, prefixesMax } from './prefix-heat.ts';

const shownMax = 200;
/** Requests from which a prefix is shown. */
const requestsMin = 2;
/** Share of a prefix's requests that go on alike, from which only the longer prefix is shown. */
const alikeShare = 0.95;

/** O(prefixes + shown x workers) */
export function prefixMapOf(heat: PrefixHeat, pools: Pools, timeMs: number): PrefixMap {
  const all = heat.all();
  const shown = distinct(all)
    .sort((a, b) => all[b]!.savedTokens - all[a]!.savedTokens || all[b]!.requests - all[a]!.requests)
    .slice(0, shownMax);
  const isShown = new Set(shown);
  const byName = new Map([...pools].map((pool) => [pool.name, pool]));
  const prefixes = shown.map((slot): PrefixState => {
    const prefix = all[slot]!;
    const pool = byName.get(prefix.pool);
    const parent = ancestorAmong(isShown, all, slot);
    return {
      hash: hashText(prefix),
      parent: parent === -1 ? null : hashText(all[parent]!),
      pool: prefix.pool,
      model: prefix.model,
      tokens: prefix.tokens,
      blocks: prefix.blocks,
      requests: Math.round(prefix.requests),
      hitsErrorMax: Math.round(prefix.errorMax),
      savedTokens: Math.round(prefix.savedTokens),
      workers: pool === undefined ? [] : holders(pool.router, pool.workerIds, prefix),
      poolWorkers: pool?.workerIds.size ?? 0,
      hits: prefix.hits.map(Math.round),
      lastMs: prefix.lastMs,
    };
  });
  const { sampledShare, givenUp } = heat;
  return { timeMs, stepMs: hitStepMs, sampledShare, followedMax: prefixesMax, givenUp, prefixes };
}

/** Slots of prefixes that say something which no longer one says. */
function distinct(all: readonly HotPrefix[]): number[] {
  const goesOn = new Uint8Array(all.length);
  for (const { parent, requests } of all) {
    if (parent >= 0 && requests >= alikeShare * all[parent]!.requests) goesOn[parent] = 1;
  }
  return all.flatMap(({ requests }, slot) => (requests >= requestsMin && goesOn[slot] === 0 ? [slot] : []));
}

function ancestorAmong(shown: ReadonlySet<number>, all: readonly HotPrefix[], slot: number): number {
  let at = all[slot]!.parent;
  // A prefix is shorter than its child, so the walk ends.
  while (at >= 0 && !shown.has(at)) at = all[at]!.parent;
  return at;
}

function holders(router: Router, workerIds: ReadonlyMap<WorkerIndex, string>, prefix: HotPrefix): string[] {
  const { low, high, blockSize, tokens, blocks } = prefix;
  const last = { sequence: Uint32Array.of(low, high), count: 1, blockSize, blockTokens: tokens / blocks };
  return [...workerIds].flatMap(([index, id]) => (router.announcedBlocks(index, last) === 1 ? [id] : []));
}

function hashText({ low, high }: HotPrefix): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
