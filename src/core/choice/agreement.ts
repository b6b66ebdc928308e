// Lets routers that have not heard of each other's latest requests send the same new prefix to the same worker.
//
// In a burst two routers get prompts with the same new prefix within the time that a message takes. The worker with the
// lowest cost is rarely the same for both, and then two workers compute the prefix. So during a burst of prompts of
// which no worker holds more than the chosen one, the router takes the worker with the highest hash of its id and the
// first block that none of them holds, among those that have hardly more prefill booked. Every router draws the same
// hash. Prefixes that are planned together are dealt (dealt-prefixes.ts). docs/cluster.md has what it is worth.

import type { WorkerTable } from '../ledger/worker-table.ts';
import type { Prompt } from '../types.ts';
import type { Candidates } from './candidates.ts';
import { hashesOf } from './placements.ts';
import type { Choice, Policy } from './policy.ts';

/** Two new prefixes within this time are a burst: about twice the time of a message. */
const burstMs = 10;
/** Prefill that a worker may have booked beyond the least, as a multiple of the request's own. */
const slack = 2;
/** New tokens below which a prompt is worth computing twice. */
export const newTokensMin = 256;

/** What a choice is made for: a booking, or only to be shown. */
export type ChoicePurpose = 'booked' | 'shown';

export class Agreement {
  readonly #workers: WorkerTable;
  /** Whether the policy's choices are brought into agreement. */
  readonly isOn: boolean;
  /** Time of the last new prefix that was routed. */
  #newMs = Number.NEGATIVE_INFINITY;

  /** @param policy one with a cost that counts overlap; others choose as they are */
  constructor(workers: WorkerTable, policy: Policy) {
    this.#workers = workers;
    this.isOn = policy.usesOverlap && policy.monotone;
  }

  /** The choice, or the worker that all routers take. Only while other routers are heard. O(candidates) */
  agree(choice: Choice, candidates: Candidates, prompt: Prompt, nowMs: number, purpose: ChoicePurpose): Choice {
    if (!this.isOn || this.#workers.routersHeard === 1) return choice;
    if (choice.reason !== 'cost' && choice.reason !== 'tie') return choice;
    const { count, worker, activePrefillTokens, overlapTokens, uncachedTokens, blockSize } = candidates;
    const { position } = choice;
    const overlap = overlapTokens[position]!;
    if (uncachedTokens[position]! < newTokensMin) return choice;
    for (let i = 0; i < count; i++) if (overlapTokens[i]! > overlap) return choice;
    const { sequence, count: blocks, blockTokens } = hashesOf(prompt, blockSize[position]!);
    const block = Math.floor(overlap / blockTokens);
    if (block >= blocks) return choice;
    const isBurst = nowMs - this.#newMs <= burstMs;
    if (purpose === 'booked') this.#newMs = nowMs;
    if (!isBurst) return choice;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      if (overlapTokens[i]! >= overlap) least = Math.min(least, activePrefillTokens[i]!);
    }
    const bound = least + slack * uncachedTokens[position]!;
    let agreed = position;
    let highest = -1;
    for (let i = 0; i < count; i++) {
      if (activePrefillTokens[i]! > bound || overlapTokens[i]! < overlap) continue;
      const hash = mixed(sequence[2 * block]! ^ this.#workers.idHash[worker[i]!]!);
      if (hash <= highest) continue;
      highest = hash;
      agreed = i;
    }
    return agreed === position ? choice : { position: agreed, reason: 'agreed' };
  }
}

/** A word whose every bit depends on every bit of `word` (finalizer of MurmurHash3, public domain). */
export function mixed(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
