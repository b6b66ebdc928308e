// Deals the new prefixes of a burst to the workers so that routers which have parts of the same burst deal alike.
//
// Several routers that plan at the same time have heard nothing of each other's requests, but they have nearly the same
// prefixes. So where a prefix goes depends only on what all of them see: the prefixes, the workers, and work that is
// rounded so coarsely that the difference between their requests hardly shows. The prefixes with the most work come
// first, and among equals the order is that of a hash. Each goes to the worker with the highest hash of both, among the
// workers whose share is not full yet. So the shares are even, and a prefix that one router has not seen changes the
// places of few others. A prefix with more work than a worker's share is dealt to several workers.

import { PrefixRuns } from '../blocks/prefix-runs.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import type { Prompt, WorkerIndex } from '../types.ts';
import { mixed, newTokensMin } from './agreement.ts';
import type { Candidates } from './candidates.ts';
import { hashesOf } from './placements.ts';

/** Speeds are rounded to parts of the usual one, so that routers that learnt a little different ones deal alike. */
const speedSteps = 4;

/** The prompts of a plan that go on, after the blocks that the most workers hold, with the same block. */
export interface NewPrefix {
  /** A word of that block's hash. */
  readonly word: number;
  /** Those that hold all blocks before it. */
  readonly holders: readonly WorkerIndex[];
  /** The holders it is dealt to. */
  readonly workers: WorkerIndex[];
  prompts: number;
  /** To compute for the first prompt. */
  firstTokens: number;
  /** To compute for the others on the same worker. */
  laterTokens: number;
}

/** What the workers hold of a prompt, at most. */
export interface MostHeld {
  readonly overlapTokens: number;
  /** Those that hold as much. */
  readonly holders: readonly WorkerIndex[];
  /** Of the first candidate; pools mix block sizes rarely. */
  readonly blockSize: number;
}

/** @param candidates filled for the prompt, without a plan */
export function mostHeld(candidates: Candidates): MostHeld {
  const { count, worker, overlapTokens, blockSize } = candidates;
  const most = candidates.bestOverlapTokens();
  const holders: WorkerIndex[] = [];
  for (let i = 0; i < count; i++) if (overlapTokens[i] === most) holders.push(worker[i]!);
  return { overlapTokens: most, holders, blockSize: blockSize[0]! };
}

/** A prefix, or one of several parts of it. */
interface Part {
  readonly prefix: NewPrefix;
  readonly hash: number;
  /** Its work, in that of the median prefix. */
  readonly units: number;
}

/** What a worker has got and may get, in the same units. */
interface Share {
  readonly worker: WorkerIndex;
  readonly idHash: number;
  /** 1 or less: slower than usual. */
  readonly speed: number;
  units: number;
}

export class DealtPrefixes {
  readonly #workers: WorkerTable;
  readonly #prefixes = new Map<number, NewPrefix>();
  /** The chains added so far, as if one worker got all of them. */
  #runs = new PrefixRuns();

  constructor(workers: WorkerTable) {
    this.#workers = workers;
  }

  clear(): void {
    this.#prefixes.clear();
    this.#runs = new PrefixRuns();
  }

  /**
   * Adds a prompt of the plan. O(runs of the chain)
   * @returns null if one worker holds more of it than all others, or if little of it is new
   */
  add(prompt: Prompt, { overlapTokens: overlap, holders, blockSize }: MostHeld): NewPrefix | null {
    if (prompt.isl - overlap < newTokensMin || holders.length === 1) return null;
    const hashes = hashesOf(prompt, blockSize);
    const { sequence, count, blockTokens } = hashes;
    const block = Math.floor(overlap / blockTokens);
    if (block >= count) return null;
    this.#runs.insert(hashes, 0);
    const plannedTokens = (count - this.#runs.insertedBlocks) * blockTokens;
    const newTokens = prompt.isl - Math.max(overlap, plannedTokens);
    const word = sequence[2 * block]!;
    const known = this.#prefixes.get(word);
    if (known) {
      known.prompts++;
      known.laterTokens += newTokens;
      return known;
    }
    const prefix = { word, holders, workers: [], prompts: 1, firstTokens: newTokens, laterTokens: 0 };
    this.#prefixes.set(word, prefix);
    return prefix;
  }

  /**
   * Fills `workers` of the added prefixes. O(prefixes x candidates)
   * @param candidates filled for any prompt, without the plan
   */
  deal(candidates: Candidates): void {
    const prefixes = [...this.#prefixes.values()];
    if (prefixes.length === 0) return;
    const tokens = prefixes.reduce((sum, prefix) => sum + tokensOf(prefix), 0);
    const prompts = prefixes.reduce((sum, prefix) => sum + prefix.prompts, 0);
    // Prefill and decoding count alike: a worker with few tokens to compute may still get too many sequences.
    const loads = prefixes.map((prefix) => tokensOf(prefix) / tokens + prefix.prompts / prompts);
    const unit = loads.toSorted((a, b) => a - b)[loads.length >> 1]!;
    const shares = this.#sharesOf(candidates, unit * tokens);
    const fair = 2 / shares.reduce((sum, { speed }) => sum + speed, 0);
    const { routersHeard } = this.#workers;
    const parts = prefixes.flatMap((prefix, i) => partsOf(prefix, loads[i]! / fair, loads[i]! / unit, routersHeard));
    parts.sort((a, b) => b.units - a.units || a.hash - b.hash);
    const level = levelFor(parts, shares);
    for (const { prefix, hash, units } of parts) {
      const open = shares.filter(({ worker }) => prefix.holders.includes(worker) && !prefix.workers.includes(worker));
      const withRoom = open.filter((share) => share.units + units <= level * share.speed);
      const taker = highest(withRoom.length > 0 ? withRoom : leastFilled(open), hash);
      taker.units += units;
      prefix.workers.push(taker.worker);
    }
  }

  /** What is booked beyond the least counts as dealt. */
  #sharesOf({ count, worker, activePrefillTokens, slowness }: Candidates, unitTokens: number): Share[] {
    const booked = activePrefillTokens.subarray(0, count);
    const least = booked.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    return Array.from(booked, (tokens, i) => {
      const index = worker[i]!;
      const speed = Math.max(1, Math.round(speedSteps / Math.max(1, slowness[i]!))) / speedSteps;
      const units = Math.round((tokens - least) / unitTokens);
      return { worker: index, idHash: this.#workers.idHash[index]!, speed, units };
    });
  }
}

function tokensOf({ firstTokens, laterTokens }: NewPrefix): number {
  return firstTokens + laterTokens;
}

/**
 * As many parts as it has shares of the work. While all routers together have enough prompts: a part's prompts must be
 * more to compute than the prefix, which one more worker computes for them.
 */
function partsOf(prefix: NewPrefix, shares: number, units: number, routers: number): Part[] {
  const worthwhile = Math.floor((routers * prefix.laterTokens) / prefix.firstTokens);
  const count = Math.max(1, Math.min(Math.round(shares), worthwhile, prefix.holders.length));
  const each = Math.max(1, Math.floor(units / count));
  return Array.from({ length: count }, (_, i) => ({ prefix, hash: mixed(prefix.word + i), units: each }));
}

/** The lowest level, in units at usual speed, up to which the workers take all parts, and one of them the largest. */
function levelFor(parts: readonly Part[], shares: readonly Share[]): number {
  const wanted = parts.reduce((sum, { units }) => sum + units, 0);
  let low = parts.reduce((most, { units }) => Math.max(most, units), 0) - 1;
  // The worker with the least booked takes all of them up to this level, however slow it is.
  let high = wanted * speedSteps;
  while (high - low > 1) {
    const level = (low + high) >> 1;
    const room = shares.reduce((sum, { speed, units }) => sum + Math.max(0, Math.floor(level * speed - units)), 0);
    if (room >= wanted) high = level;
    else low = level;
  }
  return high;
}

function highest(shares: readonly Share[], hash: number): Share {
  const drawn = (share: Share): number => mixed(hash ^ share.idHash);
  return shares.reduce((best, share) => (drawn(share) > drawn(best) ? share : best));
}

function leastFilled(shares: readonly Share[]): Share[] {
  const fill = ({ units, speed }: Share): number => units / speed;
  const least = shares.reduce((lowest, share) => Math.min(lowest, fill(share)), Number.POSITIVE_INFINITY);
  return shares.filter((share) => fill(share) === least);
}
