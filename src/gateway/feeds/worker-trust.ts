// How far the router's view of one worker's blocks can be trusted, derived from what its feed has seen.
//
// approximate   no KV events are used: the index mirrors our own decisions.
// catching-up   the view may lack blocks, and a connection, replay or batch that will show it is awaited.
// degraded      the view lacks or may lack blocks, and nothing in progress will repair it.
// exact         every batch since the engine started, or since its cache was empty, has been applied in order.
//
//   connecting --connected, replayed from 0--> exact <--next batch or replay-- catching-up <--reconnected-- no-connection
//   exact --gap--> catching-up --replay brings all--> exact
//                              --replay begins too late, or there is none--> degraded: blocks dropped, rebuilt from later events
//   exact --orphan--> catching-up (replay from 0) --> exact, or degraded if the orphans recur
//   degraded --cleared, restarted, replayed whole, or healed--> exact
//   no-connection --ten seconds--> approximate --connected--> catching-up
//
// Losses without a replay heal as blocks are announced again: once predictions have agreed with the engine for long
// enough, or the engine has refilled its cache. No request uses the blocks still missing then.
//
// An incomplete view never claims a block that the engine doesn't hold: it costs hits, not correctness.

import type { FeedLoss, FeedStatus } from './feed-status.ts';

/**
 * Why only our own decisions are known. `no-tokenizer`: prompts can't be matched with events. `feed-fault`: the
 * subscription can't be opened. `dead-feed`: no publisher for a long time. `attention-kind`: the events cover only
 * blocks from which no prefix can be read.
 */
export type ApproximateReason = 'no-events' | 'no-tokenizer' | 'feed-fault' | 'dead-feed' | 'attention-kind';

/**
 * `connecting`: not connected yet. `replaying`: a replay is in progress. `unproven`: connected without a replay, and no
 * batch has arrived yet that would show whether some are missing.
 */
export type CatchingUpReason = 'connecting' | 'replaying' | 'unproven';

/**
 * `no-connection`: the publisher can't be reached. `endpoint`: our end can't be opened. `shared-endpoint`: several
 * publishers send to an address meant for one. `late-join`: earlier batches never arrived. `lost-batches`: batches in
 * between are missing. `orphans`: events refer to parent blocks that were never announced. `no-batches`: prompts were
 * computed there, but no batch has arrived. `unmatched`: events arrive, but never the blocks of the prompts sent there
 * (other tokens, another salt or adapter, another worker's events). `block-size`: the block size of the events can't be
 * used. `overfull`: more blocks were announced than the engine can hold.
 */
export type DegradedReason =
  | 'no-connection'
  | 'endpoint'
  | 'shared-endpoint'
  | 'late-join'
  | 'lost-batches'
  | 'orphans'
  | 'overfull'
  | 'no-batches'
  | 'unmatched'
  | 'block-size';

export type WorkerTrust =
  | { readonly kind: 'exact'; readonly reason: null; readonly detail: null }
  | { readonly kind: 'catching-up'; readonly reason: CatchingUpReason; readonly detail: string }
  | { readonly kind: 'degraded'; readonly reason: DegradedReason; readonly detail: string }
  | { readonly kind: 'approximate'; readonly reason: ApproximateReason; readonly detail: string };

/** A feed that has never connected counts as catching up for this long. */
const connectMsMax = 10_000;
/** Prompts in a row that no event announced; a single one may have been evicted at once. */
const missedEventsMax = 3;

/** Predictions in a row that must agree with the engine's cached tokens; then no request uses the missing blocks. */
export const agreeingMin = 32;
/** The same, if the cache has been refilled since the loss. */
export const agreeingRefilledMin = 8;

const exact: WorkerTrust = { kind: 'exact', reason: null, detail: null };

/** What has arrived since blocks were lost. */
export interface Healing {
  /** Latest predictions in a row that agreed with the cached tokens of the answers. */
  readonly agreeing: number;
  /** Whether the engine's answers report cached tokens at all. */
  readonly canAgree: boolean;
  /** Announced blocks, and the engine's capacity; null: only estimated. */
  readonly storedBlocks: number;
  readonly capacityBlocks: number | null;
}

/**
 * Whether an incomplete view counts as complete. After `overfull` the number of announced blocks proves nothing.
 */
export function isHealed({ kind }: FeedLoss, { agreeing, canAgree, storedBlocks, capacityBlocks }: Healing): boolean {
  if (agreeing >= agreeingMin) return true;
  if (kind === 'overfull') return false;
  const isRefilled = capacityBlocks !== null && storedBlocks >= capacityBlocks;
  return isRefilled && (!canAgree || agreeing >= agreeingRefilledMin);
}

export interface FeedFacts {
  readonly feed: FeedStatus;
  /** Prompts in a row that were computed but not announced by an event in time. */
  readonly missedEvents: number;
  readonly healing: Healing;
  readonly blockSize: number;
  /** A block size of the events that the configured one is not a multiple of, or null. */
  readonly pageSizeUnfit: number | null;
}

/**
 * Trust in a worker whose KV events are not used. @param offered whether it publishes any @param feedFault why they
 * can't be received, or null
 */
export function approximateTrust(offered: boolean, feedFault: string | null = null): WorkerTrust {
  if (feedFault !== null) {
    const detail = `the subscription to its KV events can't be opened: ${feedFault}`;
    return { kind: 'approximate', reason: 'feed-fault', detail };
  }
  return offered
    ? {
        kind: 'approximate',
        reason: 'no-tokenizer',
        detail: "the engine publishes KV events, but no token ids are available, so prompts can't be matched with them",
      }
    : { kind: 'approximate', reason: 'no-events', detail: 'the engine announces no KV events' };
}

/** Trust in a worker whose KV events arrive and can't be used. */
export function unfitTrust(reason: 'attention-kind'): WorkerTrust {
  const detail = 'its KV events cover only sliding windows or states: no prefix can be read from them';
  return { kind: 'approximate', reason, detail };
}

/**
 * Trust in a worker whose KV events are used. Returns the first cause that holds; causes that explain others come
 * first.
 */
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
    const from = feed.replayEndpoint ?? 'another replica';
    return { kind: 'catching-up', reason: 'replaying', detail: `what was missed is fetched from ${from}` };
  }
  if (pageSizeUnfit !== null) {
    return degraded(
      'block-size',
      `the configured block size ${blockSize} is not a multiple of the events' ${pageSizeUnfit}`,
    );
  }
  if (missedEvents >= missedEventsMax) {
    return feed.batches === 0
      ? degraded('no-batches', `${missedEvents} prompts were computed, but ${endpoint} has sent no batch`)
      : degraded('unmatched', `the last ${missedEvents} prompts computed there appear in no event`);
  }
  if (loss !== null && !isHealed(loss, healing)) return lossTrust(loss);
  if (!feed.proven) {
    return { kind: 'catching-up', reason: 'unproven', detail: 'no batch has arrived since the connection was made' };
  }
  return exact;
}

function deadDetail({ endpoint, mode, error, failure }: FeedStatus): string {
  const why = error ?? failure ?? (mode === 'bind' ? 'no publisher connects' : 'no connection');
  return `no KV events arrive from ${endpoint} (${why}); until they do, blocks are assumed from our own decisions`;
}

function lossTrust({ kind, batches }: FeedLoss): WorkerTrust {
  switch (kind) {
    case 'late-join':
      return degraded(kind, `${batches} batches were published before the first one received`);
    case 'lost-batches':
      return degraded(kind, `${batches} batches are lost; only blocks announced since are known`);
    case 'orphans':
      return degraded(kind, 'events refer to parent blocks that were never announced');
    case 'overfull':
      return degraded(
        kind,
        'more blocks were announced than the engine can hold; only those announced since are known',
      );
  }
}

function degraded(reason: DegradedReason, detail: string): WorkerTrust {
  return { kind: 'degraded', reason, detail };
}
