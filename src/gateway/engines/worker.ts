// One routing target: a data-parallel rank of an engine. Health is the engine's, blocks and bookings are the rank's.

import type { BlocksStored, IndexSource, WorkerIndex } from '../../core/index.ts';
import type { SkipReason } from '../../wire/kv-events.ts';
import type { KvFeed } from '../feeds/kv-feed.ts';
import { approximateTrust, feedTrust, type WorkerTrust } from '../feeds/worker-trust.ts';
import type { Pool } from '../pools/pool.ts';
import type { CanaryReport } from '../proof/canary.ts';
import type { Circumstances } from '../proof/diagnosis.ts';
import { WorkerAccount } from '../proof/prompt-account.ts';
import type { Engine } from './engine.ts';
import type { ToldOfCache } from './engine-facts.ts';
import type { FeedSource } from './engine-probe.ts';

/** What routing has to know of a worker. */
export interface WorkerTraits {
  /** By which prompts are matched. */
  readonly blockSize: number;
  /** Where it comes from; `assumed` and `engine` give way to what the first KV event says. */
  readonly blockSizeFrom: 'setting' | 'engine' | 'events' | 'assumed';
  /** Tokens of one block of the engine's KV events; several of them may make up a block. */
  readonly pageSize: number;
  /** An event has said so. */
  readonly pageSizeTold: boolean;
  /** A size of events that can't be used with the block size that is set, or null. */
  readonly pageSizeUnfit: number | null;
  /** In blocks of `blockSize`. */
  readonly capacityBlocks: number;
  /** `evictions`: so many blocks were held when the engine began to drop some. */
  readonly capacityFrom: 'setting' | 'engine' | 'evictions' | 'assumed';
  readonly source: IndexSource;
}

/** Others are guesses or lower bounds, by which no request may be held back. */
export function isCapacityKnown({ capacityFrom }: WorkerTraits): boolean {
  return capacityFrom === 'setting' || capacityFrom === 'engine';
}

/** What the engine says now, except where the same process has told better in its events. */
export function updatedTraits(before: WorkerTraits, told: WorkerTraits): WorkerTraits {
  const { blockSize, blockSizeFrom, pageSize, pageSizeTold, pageSizeUnfit } = before;
  const keepsSize = pageSizeTold || (blockSizeFrom === 'events' && told.blockSizeFrom !== 'setting');
  const keepsCapacity = before.capacityFrom === 'evictions' && told.capacityFrom === 'assumed';
  return {
    ...told,
    ...(keepsSize ? { blockSize, blockSizeFrom, pageSize, pageSizeTold, pageSizeUnfit } : {}),
    ...(keepsCapacity ? { capacityBlocks: before.capacityBlocks, capacityFrom: before.capacityFrom } : {}),
  };
}

export interface Membership {
  readonly pool: Pool;
  readonly index: WorkerIndex;
}

/** KV events applied and left out, in blocks. */
export interface EventCounters {
  appliedBlocks: number;
  orphanBlocks: number;
  unknownBlocks: number;
  /** Events of a form, kind or block size that can't be used. */
  skippedEvents: number;
  /** Of `skippedEvents`: those of a form or kind that can't be used. */
  readonly skipped: Partial<Record<SkipReason, number>>;
}

export class Worker {
  readonly id: string;
  readonly engine: Engine;
  readonly rank: number;
  readonly events: EventCounters = {
    appliedBlocks: 0,
    orphanBlocks: 0,
    unknownBlocks: 0,
    skippedEvents: 0,
    skipped: {},
  };
  readonly account: WorkerAccount = new WorkerAccount();
  traits: WorkerTraits;
  told: ToldOfCache;
  /** The newest; null: none has come back yet. */
  canary: CanaryReport | null = null;
  /** Sees every store of its events, for a while; null: nobody looks. */
  storedWatch: ((event: BlocksStored) => void) | null = null;
  /** The publisher of its KV events, whether they are used or not. */
  offeredFeed: FeedSource | null = null;
  /** The subscription; null: its KV events are not used. */
  feed: KvFeed | null = null;
  /** Null before the engine has joined. */
  membership: Membership | null = null;

  constructor(engine: Engine, rank: number, traits: WorkerTraits, told: ToldOfCache) {
    this.id = `${engine.url}#${rank}`;
    this.engine = engine;
    this.rank = rank;
    this.traits = traits;
    this.told = told;
  }

  get circumstances(): Circumstances {
    const { traits, told, offeredFeed, engine } = this;
    return { traits, told, offered: offeredFeed !== null, tokenizer: engine.tokenizer };
  }

  /** How far what is known of its blocks can be trusted now. */
  trust(nowMs: number): WorkerTrust {
    const { traits, feed, membership, offeredFeed } = this;
    if (traits.source === 'approximate' || feed === null) return approximateTrust(offeredFeed !== null);
    const missedEvents = membership === null ? 0 : membership.pool.router.missedEvents(membership.index, nowMs);
    return feedTrust({
      feed: feed.status,
      missedEvents,
      blockSize: traits.blockSize,
      pageSizeUnfit: traits.pageSizeUnfit,
    });
  }
}
