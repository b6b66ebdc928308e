// Messages between replicas, as values.
//
// Every message of a replica has the next sequence number. Two kinds carry load. A `gauge` has the replica's table of
// workers, its totals on each, and which of its prompts are in flight: it replaces all that was known of the replica. A `delta` has what has changed since the last message. Totals in it are absolute, not increments: applying
// one never needs an earlier one, so that losing, doubling or reordering messages can't make a counter drift.

import type { LoadTotals } from '../core/shared-load.ts';

/** Version of the encoding. A message of another version is counted and ignored. */
export const messageVersion = 1;

export interface MessageHead {
  /** Unique name of the sending process. */
  readonly origin: string;
  /** Start of the process: higher after a restart. */
  readonly epoch: number;
  readonly sequence: number;
}

/** A worker as every replica knows it. */
export interface WorkerName {
  /** Position in `Table.pools`. */
  readonly pool: number;
  readonly worker: string;
}

/** Names that deltas refer to by position. A new table gets a higher version and is sent in a gauge first. */
export interface Table {
  readonly version: number;
  readonly pools: readonly string[];
  readonly workers: readonly WorkerName[];
}

/** Load of the sender on one worker. */
export interface Total extends LoadTotals {
  /** Position in the table. */
  readonly at: number;
}

/** A prompt that the sender has sent to a worker. Numbers count up within a pool. */
export interface Added {
  readonly at: number;
  readonly number: number;
  readonly blockSize: number;
  /** `sequence` has only some of the blocks (see core/blocks/sampled-chain). */
  readonly sampled: boolean;
  readonly sequence: Uint32Array;
}

/** Two numbers a prompt: the position of its pool in the table, and its number. */
export type PromptIds = readonly number[];

export interface Gauge {
  readonly kind: 'gauge';
  /** Free text: the sender's software version. */
  readonly about: string;
  readonly table: Table;
  /** One for each worker of the table, in its order. */
  readonly totals: readonly Total[];
  /** Prompts being computed, by pool. Numbers are in order. */
  readonly computing: readonly (readonly number[])[];
  /**
   * Prompts that are computed and whose requests are in flight, by pool. Null: the sender is of a version that does not
   * tell when these end.
   */
  readonly running: readonly (readonly number[])[] | null;
}

export interface Delta {
  readonly kind: 'delta';
  readonly tableVersion: number;
  readonly totals: readonly Total[];
  readonly added: readonly Added[];
  readonly computed: PromptIds;
  /** Their requests have ended, or are no longer told of. Before they were computed, unless they are in `computed` too. */
  readonly ended: PromptIds;
}

/** The sender ends: its load is gone at once. */
export interface Goodbye {
  readonly kind: 'goodbye';
}

export type Body = Gauge | Delta | Goodbye;

export interface Message {
  readonly head: MessageHead;
  readonly body: Body;
}
