// What routing must know about a worker, and the source of each value.

import type { IndexSource } from '../../core/index.ts';
import type { FeedAnnouncement } from './announced-feeds.ts';

export interface WorkerTraits {
  /** Block size at which prompts are matched. */
  readonly blockSize: number;
  /** Source of `blockSize`; the first KV event overrides `assumed` and `engine`. */
  readonly blockSizeFrom: 'setting' | 'engine' | 'events' | 'assumed';
  /** Tokens per block of the engine's KV events; several of these may make up one block. */
  readonly pageSize: number;
  /** Whether an event has confirmed `pageSize`. */
  readonly pageSizeTold: boolean;
  /** A page size of events that does not divide the configured block size, or null. */
  readonly pageSizeUnfit: number | null;
  /** In blocks of `blockSize`. */
  readonly capacityBlocks: number;
  /** `evictions`: the number of blocks held when the engine began to evict. */
  readonly capacityFrom: 'setting' | 'engine' | 'evictions' | 'assumed';
  readonly source: IndexSource;
}

/** Other capacities are guesses or lower bounds, which must not hold back requests. */
export function isCapacityKnown({ capacityFrom }: WorkerTraits): boolean {
  return capacityFrom === 'setting' || capacityFrom === 'engine';
}

/** The engine's current statements, except where events of the same process have shown better values. */
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

/** What the engine says about a rank's cache, whether it is used or not; null: nothing. */
export interface ToldOfCache {
  readonly prefixCaching: boolean | null;
  /** Tokens per block. */
  readonly blockSize: number | null;
  /** `unknown`: the engine can't say. */
  readonly events: FeedAnnouncement | { readonly kind: 'unknown' };
}
