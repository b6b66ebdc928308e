// One routing target: a data-parallel rank of an engine. Health is the engine's, blocks and bookings are the rank's.

import type { IndexSource, WorkerIndex } from '../core/index.ts';
import type { Engine } from './engine.ts';
import type { FeedSource } from './engine-probe.ts';
import type { KvFeed } from './kv-feed.ts';
import type { Pool } from './pool.ts';

/** What routing has to know of a worker. */
export interface WorkerTraits {
  readonly blockSize: number;
  /** Where it comes from; `assumed` gives way to what the first KV event says. */
  readonly blockSizeFrom: 'setting' | 'engine' | 'events' | 'assumed';
  readonly capacityBlocks: number;
  readonly capacityFrom: 'setting' | 'engine' | 'assumed';
  readonly source: IndexSource;
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
  /** Events of a form or kind that can't be used. */
  skippedEvents: number;
}

export class Worker {
  readonly id: string;
  readonly engine: Engine;
  readonly rank: number;
  readonly events: EventCounters = { appliedBlocks: 0, orphanBlocks: 0, unknownBlocks: 0, skippedEvents: 0 };
  traits: WorkerTraits;
  /** The publisher of its KV events, whether they are used or not. */
  offeredFeed: FeedSource | null = null;
  /** The subscription; null: its KV events are not used. */
  feed: KvFeed | null = null;
  /** Null before the engine has joined. */
  membership: Membership | null = null;

  constructor(engine: Engine, rank: number, traits: WorkerTraits) {
    this.id = `${engine.url}#${rank}`;
    this.engine = engine;
    this.rank = rank;
    this.traits = traits;
  }
}
