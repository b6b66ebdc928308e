// Reads a batch of KV events from an engine's MessagePack payload, at once or piece by piece.

import type { KvEvent } from '../core/types.ts';
import { KvEventDecoder, type SkipReason } from './kv-events-decode.ts';
import { type GuardReason, MessagePackWalk } from './kv-events-guard.ts';
import { headBytes, isArray, isNumber, lengthAt, valueAt } from './message-pack.ts';

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
  readonly #decoder: KvEventDecoder;
  readonly #walk: MessagePackWalk;
  #eventsLeft = 0;
  #eventAt = 0;

  /** @param decoder may be shared by readers: an event is valid until the next one of any of them */
  constructor(payload: Uint8Array, decoder: KvEventDecoder = new KvEventDecoder()) {
    this.#payload = payload;
    this.#decoder = decoder;
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
    const timestampS = numberIn(payload, timestampAt);
    if (timestampS === null) return { kind: 'failed', reason: 'not-a-batch' };
    this.#eventsLeft = lengthAt(payload, eventsAt);
    this.#eventAt = eventsAt + headBytes(payload[eventsAt]!);
    const rank = rankAt === undefined ? null : numberIn(payload, rankAt);
    return { kind: 'head', timestampS, rank: rank !== null && isRank(rank) ? rank : null };
  }

  /**
   * The next event, or why it was left out; null at the end.
   * @param joinedMax so many removals of single blocks behind a first one may be read as one event
   */
  next(joinedMax = 0): KvEvent | SkipReason | null {
    if (this.#eventsLeft === 0) return null;
    const decoder = this.#decoder;
    const event = decoder.read(this.#payload, this.#eventAt, Math.min(joinedMax, this.#eventsLeft - 1));
    this.#eventsLeft -= 1 + decoder.joined;
    this.#eventAt = decoder.end;
    return event;
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
    else events.push(ownCopy(event));
  }
  return { kind: 'batch', timestampS: head.timestampS, rank: head.rank, events, skipped };
}

/** An event of `KvBatchReader` that stays valid. */
export function ownCopy(event: KvEvent): KvEvent {
  if (event.kind === 'cleared') return event;
  const hashes = event.hashes.slice();
  if (event.kind === 'removed') return { ...event, hashes };
  return { ...event, hashes, parent: event.parent?.slice() ?? null, tokens: event.tokens.slice() };
}

function numberIn(payload: Uint8Array, at: number): number | null {
  return isNumber(payload[at]!) ? Number(valueAt(payload, at)) : null;
}

function isRank(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}
