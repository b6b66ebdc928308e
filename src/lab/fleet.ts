// Fleet of a run: the speed and KV capacity of each worker, and a worker that is slow for a while.

import type { Workload } from '../trace/workload.ts';

/** Lists are repeated over the workers: two values on eight workers are four pairs. */
export interface Fleet {
  /** Speed of each worker, as a multiple of the run's `engineSpeed`. Default 1. */
  readonly speeds?: readonly number[];
  /** KV capacity of each worker. Default: the run's `kvTokens`. */
  readonly kvTokens?: readonly number[];
  readonly slowDown?: SlowDown;
}

/** Steps that begin in the given part of the arrivals take `factor` times as long. The router does not know. */
export interface SlowDown {
  readonly worker: number;
  /** Start and end as shares of the time from the first to the last arrival, so that they hold at any rate. */
  readonly from: number;
  readonly until: number;
  readonly factor: number;
}

/** A slow-down in virtual time. */
export interface SlowTime {
  readonly worker: number;
  readonly fromNs: number;
  readonly untilNs: number;
  readonly factor: number;
}

/** Null without a slow-down, or if all requests arrive at once. */
export function slowTimeOf({ requests }: Workload, slowDown: SlowDown | undefined): SlowTime | null {
  if (slowDown === undefined) return null;
  const { worker, from, until, factor } = slowDown;
  const startMs = requests[0]!.arrivalMs;
  const spanMs = requests.at(-1)!.arrivalMs - startMs;
  if (spanMs === 0) return null;
  const atNs = (share: number): number => Math.round((startMs + share * spanMs) * 1e6);
  return { worker, fromNs: atNs(from), untilNs: atNs(until), factor };
}

/** The value of a worker in a list that is repeated over the workers. */
export function repeated(values: readonly number[] | undefined, worker: number): number | undefined {
  return values === undefined ? undefined : values[worker % values.length];
}
