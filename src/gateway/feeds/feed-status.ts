// The status of one KV-event feed: its connection, counters and losses.

import type { FeedAddress } from './feed-address.ts';
import type { FeedConnection } from './feed-connection.ts';

/**
 * `late-join`: batches before the first one received never arrived. `lost-batches`: later ones never arrived or could
 * not be read. `orphans`: no number is missing, yet events refer to parent blocks that were never announced.
 * `overfull`: more blocks were announced than the engine can hold, so all were forgotten.
 */
export interface FeedLoss {
  readonly kind: 'late-join' | 'lost-batches' | 'orphans' | 'overfull';
  readonly batches: number;
}

/** `no-batches`: connected, no batch received yet. */
export type FeedState = 'connecting' | 'no-batches' | 'live' | 'closed';

/** Totals since the feed was opened. */
export class FeedTally {
  batches = 0;
  /** The part of `batches` that a replay delivered. */
  replayedBatches = 0;
  /** Redelivered batches, ignored. */
  duplicates = 0;
  failedReplays = 0;
  /** Full replays, because of orphans or lost batches. */
  resyncs = 0;
  /** How many times another replica's copy replaced what was known. */
  adoptions = 0;
  /** Gaps that a replay did not fill, batches or events that could not be read or applied, and overflows. */
  gaps = 0;
  restarts = 0;
  /** Messages that could not be read as a batch. */
  malformed = 0;
  /** How many times more blocks were announced than the engine can hold. */
  overflows = 0;
  /** Errors of this gateway while it applied batches. */
  failures = 0;
  /** Connections replaced because batches arrived only by replay. */
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
  /** Why no publisher is connected, if known, or null. */
  readonly failure: string | null;
  /** Without a publisher for so long that it was given up: the index mirrors our own decisions until one connects. */
  readonly isDead: boolean;
  /** Time since the feed was opened. */
  readonly openMs: number;
  /** Publishers connected now; more than one is a fault. */
  readonly publishers: number;
  /** How many times the last publisher has disconnected. */
  readonly disconnects: number;
  /** A replay is in progress, or another replica's copy is being taken over. */
  readonly replaying: boolean;
  /** Whether this connection has shown which batches are missing, if any. */
  readonly proven: boolean;
  /** The loss that is not repaired yet, or null. */
  readonly loss: FeedLoss | null;
  readonly lastSeq: number;
  readonly lostBatches: number;
}

type FeedProgress = Pick<
  FeedStatus,
  'isDead' | 'openMs' | 'replaying' | 'proven' | 'loss' | 'lastSeq' | 'lostBatches'
> & { readonly isClosed: boolean };

export function feedStatus(
  { endpoint, mode, topic, replayEndpoint }: FeedAddress,
  { publishers, disconnects, error, failure }: FeedConnection,
  tally: FeedTally,
  progress: FeedProgress,
): FeedStatus {
  const open = publishers > 0 ? (tally.batches === 0 ? 'no-batches' : 'live') : 'connecting';
  // Each member by name: copies of other objects take a hundred times as long, and every decision asks for it.
  return {
    endpoint,
    mode,
    topic,
    replayEndpoint,
    state: progress.isClosed ? 'closed' : open,
    error,
    failure,
    publishers,
    disconnects,
    isDead: progress.isDead,
    openMs: progress.openMs,
    replaying: progress.replaying,
    proven: progress.proven,
    loss: progress.loss,
    lastSeq: progress.lastSeq,
    lostBatches: progress.lostBatches,
    batches: tally.batches,
    replayedBatches: tally.replayedBatches,
    duplicates: tally.duplicates,
    failedReplays: tally.failedReplays,
    resyncs: tally.resyncs,
    adoptions: tally.adoptions,
    gaps: tally.gaps,
    restarts: tally.restarts,
    malformed: tally.malformed,
    overflows: tally.overflows,
    failures: tally.failures,
    stalls: tally.stalls,
  };
}
