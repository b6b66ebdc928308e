// Lets routers that have not heard of each other's latest requests send prompts with the same prefix to the same worker.
//
// In a burst two routers get prompts with the same new prefix within the time that a message takes. The worker with the
// lowest cost is rarely the same for both, and then two workers compute the prefix. So during a burst of prompts of
// which no worker holds more than the chosen one, the router takes the worker with the highest hash of its id and the
// first block that none of them holds, among those that have hardly more prefill booked. Every router draws the same
// hash. Prefixes that are planned together are dealt (dealt-prefixes.ts).
//
// Where a worker holds more, but another one has less to do, one router computes the prefix there once more. Several
// routers see the same difference of load and all use it up before they hear of each other: the prefix is computed many
// times, and the idle worker is overrun. So they do this only where there is room for the prompts of all. What the
// others have sent in the meantime is not known, but they get the same requests: as much as this router has sent, each.
// docs/cluster.md has what it is worth.

import type { WorkerTable } from '../ledger/worker-table.ts';
import type { Prompt, RouteRequest } from '../types.ts';
import type { Candidates } from './candidates.ts';
import { hashesOf } from './placements.ts';
import type { Choice, Policy } from './policy.ts';

/** Two new prefixes within this time are a burst: about twice the time of a message. */
const burstMs = 10;
/** Prefill that a worker may have booked beyond the least, as a multiple of the request's own. */
const slack = 2;
/** Room for each prompt that is computed anew: others follow to where its prefix is then. */
const roomEach = 2;
/** Prompts of a burst that are counted; so many leave no room. */
const countedMax = 64;
/** The policy alone decides about workers with a larger share of their KV in use, or so many times slower. */
const kvUsageMax = 0.9;
const slownessMax = 1.5;
/** New tokens below which a prompt is worth computing twice. */
export const newTokensMin = 256;

/** What a choice is made for: a booking, or only to be shown. */
export type ChoicePurpose = 'booked' | 'shown';

export class Agreement {
  readonly #workers: WorkerTable;
  /** Whether the policy's choices are brought into agreement. */
  readonly isOn: boolean;
  /** Time of the last prompt of which the policy's choice would have computed much. */
  #newMs = Number.NEGATIVE_INFINITY;
  /** Times of the last prompts of which much is computed, as a ring. */
  readonly #computedMs = new Float64Array(countedMax).fill(Number.NEGATIVE_INFINITY);
  #computedAt = 0;

  /** @param policy one with a cost that counts overlap; others choose as they are */
  constructor(workers: WorkerTable, policy: Policy) {
    this.#workers = workers;
    this.isOn = policy.usesOverlap && policy.monotone;
  }

  /** The choice, or the worker that all routers take. Only while other routers are heard. O(candidates) */
  agree(choice: Choice, candidates: Candidates, request: RouteRequest, nowMs: number, purpose: ChoicePurpose): Choice {
    if (!this.isOn || this.#workers.routersHeard === 1) return choice;
    const agreed = this.#agreed(choice, candidates, request, nowMs);
    if (purpose === 'shown') return agreed;
    if (candidates.uncachedTokens[choice.position]! >= newTokensMin) this.#newMs = nowMs;
    if (candidates.uncachedTokens[agreed.position]! >= newTokensMin) {
      this.#computedMs[this.#computedAt] = nowMs;
      this.#computedAt = (this.#computedAt + 1) % countedMax;
    }
    return agreed;
  }

  #agreed(choice: Choice, candidates: Candidates, request: RouteRequest, nowMs: number): Choice {
    if (choice.reason !== 'cost' && choice.reason !== 'tie') return choice;
    // These have a reason of their own to be where the policy sends them.
    if (request.slo !== undefined || request.affinity !== undefined) return choice;
    const { position } = choice;
    if (nowMs - this.#newMs > burstMs || candidates.uncachedTokens[position]! < newTokensMin) return choice;
    const holder = mostHeldPosition(candidates);
    const agreed =
      candidates.overlapTokens[holder]! > candidates.overlapTokens[position]!
        ? this.#atHolder(candidates, position, holder, nowMs)
        : this.#drawn(candidates, position, request.prompts[0]!);
    return agreed === position ? choice : { position: agreed, reason: 'agreed' };
  }

  /** The worker that holds most of the prompt, unless there is room to compute it elsewhere. */
  #atHolder(candidates: Candidates, position: number, holder: number, nowMs: number): number {
    const { count, activePrefillTokens, uncachedTokens, kvUsage, slowness } = candidates;
    if (kvUsage[holder]! > kvUsageMax || slowness[holder]! > slownessMax * slowness[position]!) return position;
    let room = 0;
    for (let i = 0; i < count; i++) {
      const less = activePrefillTokens[holder]! - activePrefillTokens[i]!;
      if (less > 0) room += Math.floor(less / uncachedTokens[position]!);
    }
    let each = 1;
    for (let i = 0; i < countedMax; i++) if (nowMs - this.#computedMs[i]! < burstMs) each++;
    const others = (this.#workers.routersHeard - 1) * each;
    return room >= roomEach * (1 + others) ? position : holder;
  }

  /** Of the workers that hold as much as the chosen one: the one that every router draws. */
  #drawn(candidates: Candidates, position: number, prompt: Prompt): number {
    const { count, worker, activePrefillTokens, overlapTokens, uncachedTokens, blockSize } = candidates;
    const overlap = overlapTokens[position]!;
    const { sequence, count: blocks, blockTokens } = hashesOf(prompt, blockSize[position]!);
    const block = Math.floor(overlap / blockTokens);
    if (block >= blocks) return position;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      if (overlapTokens[i]! >= overlap) least = Math.min(least, activePrefillTokens[i]!);
    }
    const bound = least + slack * uncachedTokens[position]!;
    let drawn = position;
    let highest = -1;
    for (let i = 0; i < count; i++) {
      if (activePrefillTokens[i]! > bound || overlapTokens[i]! < overlap) continue;
      const hash = mixed(sequence[2 * block]! ^ this.#workers.idHash[worker[i]!]!);
      if (hash <= highest) continue;
      highest = hash;
      drawn = i;
    }
    return drawn;
  }
}

/** The candidate with the highest overlap; among equals the one with the least prefill booked. */
function mostHeldPosition({ count, overlapTokens, activePrefillTokens }: Candidates): number {
  let most = 0;
  for (let i = 1; i < count; i++) {
    const more = overlapTokens[i]! - overlapTokens[most]!;
    if (more > 0 || (more === 0 && activePrefillTokens[i]! < activePrefillTokens[most]!)) most = i;
  }
  return most;
}

/** A word whose every bit depends on every bit of `word` (finalizer of MurmurHash3, public domain). */
export function mixed(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
