// How far the router's knowledge of one worker's blocks can be trusted: read off what its feed has seen, never set.
//
// approximate   no KV events are used: the index mirrors our own decisions.
// catching-up   the view may lack blocks, and what is missing is on its way.
// degraded      the view lacks blocks or may do so, and nothing that is under way will mend it.
// exact         every batch since the engine started, or since its cache was empty, has been applied in order.
//
//   connecting --connected, replayed from 0--> exact <--next batch or replay-- catching-up <--reconnected-- no-connection
//   exact --gap--> catching-up --replay brings all--> exact
//                              --replay begins too late, or there is none--> degraded: blocks dropped, rebuilt from what comes
//   exact --orphan--> catching-up (replay from 0) --> exact, or degraded where the orphans come again
//   degraded --cleared, restarted, replayed whole, or healed--> exact
//   no-connection --ten seconds--> approximate --connected--> catching-up
//
// Losses without a replay heal as blocks are told of again: once predictions agree with the engine for long enough, or
// the engine has filled its cache anew since. What is still missing then is what nobody asks for.
//
// A view that lacks blocks never claims one that the engine doesn't hold: it costs hits, not correctness.

import type { FeedLoss, FeedStatus } from './feed-status.ts';

/**
 * Why nothing but our own decisions is known. `no-tokenizer`: prompts can't be matched with events. `feed-fault`: the
 * subscription to its events can't be opened. `dead-feed`: there has been no publisher for long.
 * `attention-kind`: they tell only of blocks from which no prefix can be read.
 */
export type ApproximateReason = 'no-events' | 'no-tokenizer' | 'feed-fault' | 'dead-feed' | 'attention-kind';

/**
 * `connecting`: not connected yet. `replaying`: batches are being asked for again. `unproven`: connected without a
 * replay, and no batch has come yet that would show whether some are missing.
 */
export type CatchingUpReason = 'connecting' | 'replaying' | 'unproven';

/**
 * `no-connection`: the publisher can't be reached (any more). `endpoint`: our end can't be opened. `shared-endpoint`:
 * several publishers send to an address meant for one. `late-join`: older batches never came. `lost-batches`: batches
 * are missing in between. `orphans`: blocks hang on blocks that were never announced. `silent`: prompts are computed
 * there, but no event tells of it. `unmatched`: events come, but never the blocks of the prompts sent there (other
 * tokens, another salt or adapter, another worker's events). `block-size`: events of a block size that can't be used.
 * `overfull`: more blocks were told of than the engine can hold.
 */
export type DegradedReason =
  | 'no-connection'
  | 'endpoint'
  | 'shared-endpoint'
  | 'late-join'
  | 'lost-batches'
  | 'orphans'
  | 'overfull'
  | 'silent'
  | 'unmatched'
  | 'block-size';

export type WorkerTrust =
  | { readonly kind: 'exact'; readonly reason: null; readonly detail: null }
  | { readonly kind: 'catching-up'; readonly reason: CatchingUpReason; readonly detail: string }
  | { readonly kind: 'degraded'; readonly reason: DegradedReason; readonly detail: string }
  | { readonly kind: 'approximate'; readonly reason: ApproximateReason; readonly detail: string };

export type TrustKind = WorkerTrust['kind'];

/** Every state, in order from best to worst. */
export const trustKinds: readonly TrustKind[] = ['exact', 'catching-up', 'degraded', 'approximate'];

/** A feed that has never connected counts as on its way for so long. */
const connectMsMax = 10_000;
/** Prompts in a row that no event told of: one alone may have been evicted at once. */
const missedEventsMax = 3;

/** Predictions in a row that agree with the cached tokens of the engine's answers: what is missing is not asked for. */
export const agreeingMin = 32;
/** The same, where the cache has been filled anew since the loss. */
export const agreeingRefilledMin = 8;

const exact: WorkerTrust = { kind: 'exact', reason: null, detail: null };

/** What has come since blocks were lost. */
export interface Healing {
  /** Predictions in a row that agreed with the cached tokens of the answers, up to now. */
  readonly agreeing: number;
  /** Whether the engine's answers tell cached tokens at all. */
  readonly canAgree: boolean;
  /** Blocks told of, and how many the engine has room for; null: that is a guess. */
  readonly storedBlocks: number;
  readonly capacityBlocks: number | null;
}

/** Whether a view that lacked blocks is as good as whole. Where too many were told of, those told of prove nothing. */
export function isHealed({ kind }: FeedLoss, { agreeing, canAgree, storedBlocks, capacityBlocks }: Healing): boolean {
  if (agreeing >= agreeingMin) return true;
  if (kind === 'overfull') return false;
  const isRefilled = capacityBlocks !== null && storedBlocks >= capacityBlocks;
  return isRefilled && (!canAgree || agreeing >= agreeingRefilledMin);
}

export interface FeedFacts {
  readonly feed: FeedStatus;
  /** Prompts in a row that were computed, but whose blocks no event told of in time. */
  readonly missedEvents: number;
  readonly healing: Healing;
  readonly blockSize: number;
  /** A block size of events that can't be used with the one that is set, or null. */
  readonly pageSizeUnfit: number | null;
}

/** Of a worker whose KV events are not used. @param offered whether it has any @param feedFault why they can't be had, or null */
export function approximateTrust(offered: boolean, feedFault: string | null = null): WorkerTrust {
  if (feedFault !== null) {
    const detail = `the subscription to its KV events can't be opened: ${feedFault}`;
    return { kind: 'approximate', reason: 'feed-fault', detail };
  }
  return offered
    ? {
        kind: 'approximate',
        reason: 'no-tokenizer',
        detail: 'the engine publishes KV events, but nobody tells token ids, so no prompt can be matched with them',
      }
    : { kind: 'approximate', reason: 'no-events', detail: 'the engine publishes no KV events that it tells of' };
}

/** Of a worker whose KV events come, and can't be used. */
export function unfitTrust(reason: 'attention-kind'): WorkerTrust {
  const detail = 'its KV events tell only of sliding windows or states: no prefix can be read from them';
  return { kind: 'approximate', reason, detail };
}

/** Of a worker whose KV events are used. The first cause that holds is told: those that explain others come first. */
export function feedTrust({ feed, missedEvents, healing, blockSize, pageSizeUnfit }: FeedFacts): WorkerTrust {
  const { endpoint, mode, loss } = feed;
  if (feed.isDead) return { kind: 'approximate', reason: 'dead-feed', detail: deadDetail(feed) };
  if (feed.error !== null) return degraded('endpoint', `${endpoint} can't be opened: ${feed.error}`);
  if (feed.publishers === 0) {
    const why = feed.failure === null ? '' : `: ${feed.failure}`;
    const wanted = mode === 'bind' ? `no publisher has connected to ${endpoint}` : `no connection to ${endpoint}${why}`;
    const isNew = feed.disconnects === 0 && feed.openMs < connectMsMax;
    return isNew ? { kind: 'catching-up', reason: 'connecting', detail: wanted } : degraded('no-connection', wanted);
  }
  if (feed.publishers > 1) return degraded('shared-endpoint', `${feed.publishers} publishers send to ${endpoint}`);
  if (feed.replaying) {
    return { kind: 'catching-up', reason: 'replaying', detail: `batches are replayed from ${feed.replayEndpoint}` };
  }
  if (pageSizeUnfit !== null) {
    return degraded(
      'block-size',
      `the block size ${blockSize} that is set is no multiple of the events' ${pageSizeUnfit}`,
    );
  }
  if (missedEvents >= missedEventsMax) {
    return feed.batches === 0
      ? degraded('silent', `${missedEvents} prompts were computed, and ${endpoint} has not sent a batch`)
      : degraded('unmatched', `the last ${missedEvents} prompts computed there are in no event`);
  }
  if (loss !== null && !isHealed(loss, healing)) return lossTrust(loss);
  if (!feed.proven) {
    return { kind: 'catching-up', reason: 'unproven', detail: 'no batch has come since the connection was made' };
  }
  return exact;
}

function deadDetail({ endpoint, mode, error, failure }: FeedStatus): string {
  const why = error ?? failure ?? (mode === 'bind' ? 'no publisher connects' : 'no connection');
  return `no KV events come from ${endpoint} (${why}): blocks are presumed from our own decisions until they do`;
}

function lossTrust({ kind, batches }: FeedLoss): WorkerTrust {
  switch (kind) {
    case 'late-join':
      return degraded(kind, `${batches} batches were published before the first one that came`);
    case 'lost-batches':
      return degraded(kind, `${batches} batches are lost; only blocks told of since are known`);
    case 'orphans':
      return degraded(kind, 'blocks hang on blocks that were never told of');
    case 'overfull':
      return degraded(kind, 'more blocks were told of than the engine can hold; those told of since are known');
  }
}

function degraded(reason: DegradedReason, detail: string): WorkerTrust {
  return { kind: 'degraded', reason, detail };
}
