// Who takes the events of a feed, and what else is told: blocks that may be missing, a publisher that is away.

import type { KvEvent } from '../../core/index.ts';
import type { KvBatchHead, SkipReason } from '../../wire/kv-events.ts';

/**
 * Why all that was known of the publisher's blocks is void: batches are missing, it began anew, a batch could not be
 * read or applied, all is told again from the start, or more was told than can be.
 */
export type FeedBreak = 'gap' | 'restart' | 'malformed' | 'resync' | 'overfull';

/** Calls come in the order of the events: a batch's head, its events, then the next head. */
export interface FeedListener {
  batch(head: KvBatchHead): void;
  event(event: KvEvent): void;
  skipped(reason: SkipReason): void;
  /** Called ahead of the batch that showed it. */
  broken(reason: FeedBreak): void;
  /** From now on blocks may be missing. */
  lost(): void;
  /** There has been no publisher for long, and why; then, that there is one again: all is told anew. */
  dead(reason: string): void;
  alive(): void;
  /** Nothing more comes. */
  closed(): void;
  /** A batch could not be applied: an error of ours. */
  failed(error: unknown): void;
}
