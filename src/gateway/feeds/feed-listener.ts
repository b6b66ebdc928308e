// The interface that receives a feed's events, its losses and the state of its publisher.

import type { KvEvent } from '../../core/index.ts';
import type { KvBatchHead, SkipReason } from '../../wire/kv-events.ts';
import type { PeerCopy } from './peer-copy.ts';

/**
 * Why everything known about the publisher's blocks is discarded. `gap`: batches are missing. `restart`: the publisher
 * restarted. `malformed`: a batch could not be read or applied. `resync`: everything is replayed from the start.
 * `overfull`: more blocks were announced than the engine can hold. `copied`: another replica's copy replaces it.
 */
export type FeedBreak = 'gap' | 'restart' | 'malformed' | 'resync' | 'overfull' | 'copied';

/** Calls follow the order of the events: a batch's head, its events, then the next head. */
export interface FeedListener {
  batch(head: KvBatchHead): void;
  event(event: KvEvent): void;
  skipped(reason: SkipReason): void;
  /** Called before the batch that revealed the break. */
  broken(reason: FeedBreak): void;
  /** From now on blocks may be missing. */
  lost(): void;
  /**
   * Asks other replicas for what they know of this publisher (see feed-adoption.ts). Absent: there are none.
   * @param seqMin the last batch that the copy must contain @returns null: nobody has it
   */
  copy?(seqMin: number, signal: AbortSignal): Promise<PeerCopy | null>;
  /** The last publisher has disconnected; its process may have ended. */
  disconnected?(): void;
  /** No publisher has been connected for a long time. */
  dead(reason: string): void;
  /** After `dead`: a publisher has connected, and its events start afresh. */
  alive(): void;
  /** No further call follows. */
  closed(): void;
  /** Applying a batch threw: a bug in this gateway. */
  failed(error: unknown): void;
}
