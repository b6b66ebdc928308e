// Reads a batch of KV events from an engine's MessagePack payload, at once or piece by piece.

import type { KvEvent } from '../core/types.ts';
import { decodeKvEvent, decodeNumber, type SkipReason } from './kv-events-decode.ts';
import { type GuardReason, MessagePackWalk } from './kv-events-guard.ts';

/** The fields of a batch besides its events. */
export interface KvBatchHead {
  readonly kind: 'head';
  /** Seconds since the epoch by the engine's clock. */
  readonly timestampS: number;
  /** Data-parallel rank; null if absent, so the connection's rank applies. */
  readonly rank: number | null;
}

export interface KvBatch {
  readonly kind: 'batch';
  readonly timestampS: number;
  readonly rank: number | null;
  readonly events: readonly KvEvent[];
  /** Events left out, by reason. */
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
}

export interface KvBatchFailure {
  readonly kind: 'failed';
  readonly reason: GuardReason | 'not-a-batch';
}

/** Call `open` until it returns a result; if that is a head, call `next` until it returns null. Neither ever throws. */
export class KvBatchReader {
  readonly #payload: Uint8Array;
  readonly #walk: MessagePackWalk;
  /** Index of the next event in the walk's inner items. */
  #next = 0;
  /** Offset after the last event. */
  #eventsEnd = 0;

  constructor(payload: Uint8Array) {
    this.#payload = payload;
    this.#walk = new MessagePackWalk(payload);
  }

  /** Checks up to `itemsMax` more items of the payload. @returns null if there are more */
  open(itemsMax: number): KvBatchHead | KvBatchFailure | null {
    const progress = this.#walk.advance(itemsMax);
    if (progress === 'more') return null;
    if (progress !== 'done') return { kind: 'failed', reason: progress };
    const payload = this.#payload;
    const [timestampAt, eventsAt, rankAt] = this.#walk.outerItems;
    if (!isArray(payload[0]!) || timestampAt === undefined || eventsAt === undefined || !isArray(payload[eventsAt]!)) {
      return { kind: 'failed', reason: 'not-a-batch' };
    }
    const timestampS = decodeNumber(payload, timestampAt, eventsAt);
    if (timestampS === null) return { kind: 'failed', reason: 'not-a-batch' };
    this.#eventsEnd = rankAt ?? payload.length;
    const rankEnd = this.#walk.outerItems[3] ?? payload.length;
    const rank = rankAt === undefined ? null : decodeNumber(payload, rankAt, rankEnd);
    return { kind: 'head', timestampS, rank: rank !== null && isRank(rank) ? rank : null };
  }

  /** The next event, or why it was left out; null at the end. */
  next(): KvEvent | SkipReason | null {
    const { innerItems } = this.#walk;
    const start = innerItems[this.#next];
    if (start === undefined || start >= this.#eventsEnd) return null;
    this.#next += 1;
    const end = Math.min(innerItems[this.#next] ?? this.#eventsEnd, this.#eventsEnd);
    return decodeKvEvent(this.#payload, start, end);
  }
}

/** Reads a whole batch. Never throws: an unreadable payload is a failure value; an unreadable event is left out. */
export function decodeKvBatch(payload: Uint8Array): KvBatch | KvBatchFailure {
  const reader = new KvBatchReader(payload);
  const head = reader.open(Number.POSITIVE_INFINITY)!;
  if (head.kind === 'failed') return head;
  const events: KvEvent[] = [];
  const skipped: Partial<Record<SkipReason, number>> = {};
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (typeof event === 'string') skipped[event] = (skipped[event] ?? 0) + 1;
    else events.push(event);
  }
  return { kind: 'batch', timestampS: head.timestampS, rank: head.rank, events, skipped };
}

function isArray(head: number): boolean {
  return (head & 0xf0) === 0x90 || head === 0xdc || head === 0xdd;
}

function isRank(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}
