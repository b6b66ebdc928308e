// Shared by the policy tests: candidates from rows, bookings, requests with made-up hashes.

import { Candidates } from '../../../src/core/choice/candidates.ts';
import type { BlockHashes, CandidateCost, PolicyBooking, PolicyRequest, Prompt } from '../../../src/core/index.ts';
import { hasher } from '../router-harness.ts';

export type Columns = Partial<CandidateCost>;

/** One candidate per row, at worker indexes 0, 1, ... unless a row has one; missing columns are 0 (blocks of 16). */
export function candidatesOf(...rows: readonly Columns[]): Candidates {
  const candidates = new Candidates();
  candidates.reset(rows.length);
  candidates.count = rows.length;
  for (const [i, row] of rows.entries()) {
    const columns: Columns = { worker: i, blockSize: 16, ...row };
    for (const name of Object.keys(columns) as (keyof CandidateCost)[]) candidates[name][i] = columns[name]!;
  }
  return candidates;
}

export function requestOf(isl: number, prompts: readonly Prompt[] = [], nowMs = 0): PolicyRequest {
  return { nowMs, isl, prompts, overlapWeight: undefined, temperature: undefined };
}

/** A request of one prompt with these tokens. */
export function promptRequest(tokens: readonly number[], blockSize = 4, nowMs = 0): PolicyRequest {
  const hashes = hasher.hash(Uint32Array.from(tokens), blockSize);
  return requestOf(tokens.length, [{ isl: tokens.length, hashes: [hashes] }], nowMs);
}

export function bookingOf(worker: number, order: number, more: Partial<PolicyBooking> = {}): PolicyBooking {
  return { worker, order, isl: 100, uncachedTokens: 100, bookedMs: 0, outputTokens: [0], ...more };
}

/** The chain of hashes of a prompt whose blocks are these ids; equal prefixes of ids, equal hashes. */
export function chainOf(ids: readonly number[], blockSize = 1): BlockHashes {
  return hasher.hash(Uint32Array.from(ids.flatMap((id) => new Array<number>(blockSize).fill(id))), blockSize);
}
