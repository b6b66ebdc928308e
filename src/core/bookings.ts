// Life of a booking: its load is counted, its prompt is computed, its output grows, and it ends.

import { assert } from './assert.ts';
import type { Placements } from './choice/placements.ts';
import type { Policy, PolicyRequest } from './choice/policy.ts';
import type { HeldBlocks } from './held/held-blocks.ts';
import type { ActiveBlocks, BookingHolder, BookingRecord } from './ledger/active-blocks.ts';
import { BookingIds } from './ledger/booking-ids.ts';
import type { SpeedModel } from './ledger/speed-model.ts';
import { WholeAnswerProgress } from './ledger/whole-answer-progress.ts';
import type { SharedLoad } from './shared-load.ts';
import type { BlockHashes, Booking, FirstToken, Outcome, Prompt, RouteRequest, WorkerIndex } from './types.ts';

export interface BookingParts {
  readonly policy: Policy;
  readonly state: unknown;
  readonly ledger: ActiveBlocks;
  readonly speed: SpeedModel;
  readonly placements: Placements;
  readonly held: HeldBlocks;
  readonly shared: SharedLoad;
  readonly inFlightCredit: boolean;
  /** See `RouterOptions.bookAt`. */
  readonly bookAt: 'choice' | 'first-token' | 'told';
  /** A first token changes what `admit` would hold. */
  readonly firstTokenGivesRoom: boolean;
  readonly onRoomChange: () => void;
}

/** Tells the ledger, the speed model, the policy and other routers of every change in one synchronous step. */
export class Bookings {
  readonly counters = { released: 0, releasedBlocks: 0, stale: 0 };
  readonly #parts: BookingParts;
  readonly #wholeAnswers: WholeAnswerProgress;
  readonly #ids = new BookingIds();
  /** Bookings whose load is counted only when `count` is called. */
  readonly #untold = new Map<Booking, PolicyRequest>();

  constructor(parts: BookingParts) {
    this.#parts = parts;
    this.#wholeAnswers = new WholeAnswerProgress(parts.ledger, parts.speed, (record, nowMs) =>
      this.#prefillDone(record, nowMs),
    );
  }

  /** Whether a live booking has this id. */
  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Moves whole answers to their estimated state. */
  advance(nowMs: number): void {
    this.#wholeAnswers.advance(nowMs);
  }

  /** @param uncachedTokens prompt tokens that the worker has to compute */
  open(
    worker: WorkerIndex,
    hashes: BlockHashes,
    prompt: Prompt,
    request: RouteRequest,
    uncachedTokens: number,
    nowMs: number,
  ): BookingRecord {
    const record = this.#parts.ledger.open(worker, hashes, prompt, request, nowMs);
    record.uncachedTokens = uncachedTokens;
    this.#ids.opened(record, request.id);
    return record;
  }

  /** Has no effect if the booking has ended. */
  setHolder(booking: Booking, holder: BookingHolder): void {
    const record = this.#find(booking);
    if (record) record.holder = holder;
  }

  /** Counts the load of an open booking, unless it is counted later. */
  opened(record: BookingRecord, nowMs: number): void {
    if (this.#parts.bookAt === 'choice') this.#count(record, nowMs);
    if (record.wholeAnswer) this.#wholeAnswers.booked(record, nowMs);
  }

  /** Tells the policy, unless it is told later. */
  booked(record: BookingRecord, asked: PolicyRequest): void {
    const { policy, state, bookAt } = this.#parts;
    if (bookAt === 'told') this.#untold.set(record.booking, asked);
    else policy.onBooked?.(state, record, asked);
  }

  count(booking: Booking, nowMs: number): void {
    const asked = this.#untold.get(booking);
    const record = this.#find(booking);
    if (!record || !asked) return;
    this.#untold.delete(booking);
    assert(!record.counted, 'a load is counted before the first token');
    this.#count(record, nowMs);
    this.#parts.policy.onBooked?.(this.#parts.state, record, asked);
  }

  firstToken(booking: Booking, nowMs: number): FirstToken | null {
    const record = this.#find(booking);
    if (!record || record.hadFirstToken) return null;
    return this.#prefillDone(record, nowMs);
  }

  outputTokens(booking: Booking, tokens: number, nowMs: number, sequence: number): void {
    const record = this.#find(booking);
    if (!record) return;
    if (!record.hadFirstToken) this.#prefillDone(record, nowMs);
    if (record.outputTokens.length === 1) this.#parts.speed.tokens(record, tokens, nowMs);
    this.#parts.ledger.setOutputTokens(record, record.outputTokens[sequence]! + tokens, sequence);
  }

  setOutputTokens(booking: Booking, totalTokens: number, sequence: number): void {
    const record = this.#find(booking);
    if (!record) return;
    record.reportedTokens = Math.max(record.reportedTokens, totalTokens);
    this.#parts.ledger.setOutputTokens(record, totalTokens, sequence);
    this.#parts.onRoomChange();
  }

  release(booking: Booking, outcome: Outcome, nowMs: number): void {
    const record = this.#find(booking);
    if (!record) return;
    const { policy, placements, held, inFlightCredit, onRoomChange } = this.#parts;
    const computed = outcome === 'done' || (outcome === 'aborted' && record.hadFirstToken);
    // Read the record before it is closed: it may be reused.
    const { worker, hashes, wholeAnswer, announced } = record;
    if (outcome === 'done') placements.predictions.answered(record, nowMs);
    this.#close(record, nowMs);
    this.counters.released++;
    onRoomChange();
    if (!computed || !policy.usesOverlap) return;
    held.ended({ worker, hashes, wholeAnswer, announced }, inFlightCredit, nowMs);
  }

  /** Ends all bookings of a worker that leaves. */
  closeAll(worker: WorkerIndex): void {
    for (const record of this.#parts.ledger.recordsOf(worker)) this.#close(record, 0);
  }

  #count(record: BookingRecord, nowMs: number): void {
    const { ledger, speed, shared } = this.#parts;
    ledger.count(record, record.uncachedTokens);
    speed.booked(record, nowMs);
    shared.observer?.booked(record);
  }

  #prefillDone(record: BookingRecord, nowMs: number): FirstToken | null {
    const { policy, state, ledger, speed, placements, held, shared, firstTokenGivesRoom, onRoomChange } = this.#parts;
    const { worker, wholeAnswer } = record;
    record.firstTokenMs = nowMs;
    if (record.counted) {
      ledger.endPrefill(record);
      speed.prefillEnds(record, !wholeAnswer, nowMs);
    } else {
      record.hadFirstToken = true;
      ledger.count(record, 0);
    }
    shared.observer?.computed(record);
    const truth = placements.predictions.prefillDone(record, nowMs);
    policy.onFirstToken?.(state, record, nowMs);
    if (!wholeAnswer) this.#wholeAnswers.overtaken(worker, record.order, nowMs);
    if (policy.usesOverlap) held.prefillDone(record, nowMs);
    if (firstTokenGivesRoom) onRoomChange();
    return truth;
  }

  #close(record: BookingRecord, nowMs: number): void {
    const { policy, state, ledger, speed, shared } = this.#parts;
    this.#ids.closed(record);
    speed.ended(record, nowMs);
    try {
      // The policy never saw a booking whose load was not counted.
      if (!this.#untold.delete(record.booking)) policy.onReleased?.(state, record);
    } finally {
      this.counters.releasedBlocks += ledger.close(record);
      shared.observer?.ended(record);
      record.holder?.bookingEnded();
    }
  }

  #find(booking: Booking): BookingRecord | undefined {
    const record = this.#parts.ledger.find(booking);
    if (!record) this.counters.stale++;
    return record;
  }
}
