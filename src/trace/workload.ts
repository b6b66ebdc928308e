// Workload: the arrivals, lengths and shared content of its requests.

import { assert } from '../core/assert.ts';

/**
 * Content is given by chained block ids: an equal id at the same position means equal content of the block and of all
 * before it. `blockIds` covers the leading blocks of the prompt, at most `ceil(isl / contentBlockTokens)`: a partial
 * last block may have an id (as in Mooncake traces), which then covers the tokens that are there. Tokens after the last
 * id are unique to the request.
 *
 * Engine blocks of any size follow from this. Let `t` be the last token (from 0) of a full engine block, and
 * `i = floor(t / contentBlockTokens)`. The content up to `t` is identified by `(blockIds[i], t % contentBlockTokens)`,
 * or, where there is no `blockIds[i]`, by the request and `t`.
 *
 * An answer that a later prompt contains has no ids of its own: it lies in new blocks of the later prompt, so no engine
 * finds it in its cache. No public trace tells which blocks these are.
 */
export interface WorkloadRequest {
  /** Time from the start of the workload. With `after`: the arrival in the source, which does not affect a run. */
  readonly arrivalMs: number;
  /** Prompt tokens, at least 1. */
  readonly isl: number;
  /** Answer tokens, at least 1. */
  readonly osl: number;
  /** Do not modify: requests share arrays. */
  readonly blockIds: Int32Array;
  /** Requests of one conversation or agent run, numbered from 0. */
  readonly session?: number;
  /** Whose request it is. Absent: nobody is told apart. */
  readonly tenant?: string;
  /** Closed loop: the request arrives `thinkMs` after the end of an earlier request. */
  readonly after?: Predecessor;
}

export interface Predecessor {
  /** Index in `Workload.requests`, lower than the request's own. */
  readonly request: number;
  readonly thinkMs: number;
}

export interface Workload {
  readonly name: string;
  readonly contentBlockTokens: number;
  /** Number of block ids. Ids are dense, from 0. */
  readonly blockIdCount: number;
  /** In order of `arrivalMs`. */
  readonly requests: readonly WorkloadRequest[];
  /** Requests in flight at a time; further ones wait in order. Undefined: no limit. */
  readonly concurrencyMax?: number;
  /** Replays recorded traffic, so that another seed gives the same sample. */
  readonly recorded?: boolean;
  /** KV capacity per worker that the source ran or was studied with. */
  readonly kvTokensPerWorker?: number;
  /** Remarks that a reader of results must know. */
  readonly notes: readonly string[];
}

/**
 * Sorts the requests by arrival, adjusts the indexes in `after` and checks every invariant above. Requests that arrive
 * together keep their order.
 */
export function orderedWorkload(draft: Workload): Workload {
  const order = draft.requests.map((_, index) => index);
  order.sort((a, b) => draft.requests[a]!.arrivalMs - draft.requests[b]!.arrivalMs || a - b);
  const moved = order.some((from, to) => from !== to);
  const workload = moved ? { ...draft, requests: permuted(draft.requests, order) } : draft;
  checkWorkload(workload);
  return workload;
}

function permuted(requests: readonly WorkloadRequest[], order: readonly number[]): WorkloadRequest[] {
  const newIndex = new Int32Array(order.length);
  for (const [to, from] of order.entries()) newIndex[from] = to;
  return order.map((from) => {
    const request = requests[from]!;
    if (request.after === undefined) return request;
    return { ...request, after: { ...request.after, request: newIndex[request.after.request]! } };
  });
}

/** @throws Error naming the broken invariant */
export function checkWorkload(workload: Workload): void {
  const { contentBlockTokens, blockIdCount, requests, concurrencyMax } = workload;
  assert(isCount(contentBlockTokens), 'contentBlockTokens is a positive integer');
  assert(concurrencyMax === undefined || isCount(concurrencyMax), 'concurrencyMax is a positive integer');
  let previousMs = 0;
  for (const [index, { arrivalMs, isl, osl, blockIds, after }] of requests.entries()) {
    assert(Number.isFinite(arrivalMs) && arrivalMs >= previousMs, 'requests are in order of arrival, from time 0');
    previousMs = arrivalMs;
    assert(isCount(isl) && isCount(osl), 'isl and osl are positive integers');
    assert(blockIds.length <= Math.ceil(isl / contentBlockTokens), 'no block id lies beyond the prompt');
    for (const id of blockIds) assert(id >= 0 && id < blockIdCount, 'block ids lie in 0 .. blockIdCount - 1');
    if (after === undefined) continue;
    assert(after.request >= 0 && after.request < index, 'a request comes after an earlier one');
    assert(Number.isFinite(after.thinkMs) && after.thinkMs >= 0, 'thinkMs is not negative');
  }
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;

/** Block ids of a request that shares nothing. */
export const noBlocks: Int32Array = new Int32Array(0);
