// How one feed of KV events stands: its connection, what it has counted, what it has lost.

/**
 * `late-join`: batches older than the first one seen never came. `lost-batches`: some in between never came or could
 * not be read. `orphans`: none is missing by its number, yet blocks hang on blocks that were never told of.
 * `overfull`: more blocks were told of than the engine can hold, and all of them forgotten.
 */
export interface FeedLoss {
  readonly kind: 'late-join' | 'lost-batches' | 'orphans' | 'overfull';
  readonly batches: number;
}

/** `silent`: connected, but no batch has come yet. */
export type FeedState = 'connecting' | 'silent' | 'live' | 'closed';

/** Totals since the feed was opened. */
export class FeedTally {
  batches = 0;
  /** Of `batches`: those that a replay has brought. */
  replayedBatches = 0;
  /** Batches that came twice, left out. */
  duplicates = 0;
  failedReplays = 0;
  /** Replays of everything, because of orphans or lost batches. */
  resyncs = 0;
  /** Losses that no replay has mended. */
  gaps = 0;
  restarts = 0;
  /** Messages that were no batch. */
  malformed = 0;
  /** How often more blocks were told of than the engine can hold. */
  overflows = 0;
  /** Batches that could not be applied: a fault of ours. */
  failures = 0;
  /** Connections given up because batches came by replay alone. */
  stalls = 0;
}

export interface FeedStatus extends Readonly<FeedTally> {
  readonly endpoint: string;
  readonly mode: 'connect' | 'bind';
  readonly topic: string;
  readonly replayEndpoint: string | null;
  readonly state: FeedState;
  /** Why our end can't be opened, or null. */
  readonly error: string | null;
  /** Why there is no publisher, as far as is known, or null. */
  readonly failure: string | null;
  /** No publisher for so long that its events are given up: the index mirrors our own decisions until one connects. */
  readonly isDead: boolean;
  /** Since the feed was opened. */
  readonly openMs: number;
  /** Publishers connected now; an address is meant for one. */
  readonly publishers: number;
  /** How often the last of them has gone. */
  readonly disconnects: number;
  /** Batches are being asked for again. */
  readonly replaying: boolean;
  /** This connection has shown what is missing, if anything. */
  readonly proven: boolean;
  /** Not mended by now. */
  readonly loss: FeedLoss | null;
  readonly lastSeq: number;
  readonly lostBatches: number;
}
