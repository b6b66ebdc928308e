// What routing has to know of a worker, and where each part of it comes from.

import type { IndexSource } from '../../core/index.ts';
import type { FeedAnnouncement } from './announced-feeds.ts';

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

/** What the engine says of a rank's cache, whatever use is made of it; null: nothing. */
export interface ToldOfCache {
  readonly prefixCaching: boolean | null;
  /** Tokens of a block. */
  readonly blockSize: number | null;
  /** `unknown`: it has no way to tell. */
  readonly events: FeedAnnouncement | { readonly kind: 'unknown' };
}
