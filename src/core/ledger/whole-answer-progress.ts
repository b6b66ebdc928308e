// Estimated progress of requests whose answer is not streamed: when their prefill ends and how their output grows.
//
// A prefill counts as done when a request booked later on the same worker gets its first token, or after the estimated
// time: uncached tokens / observed prefill rate. From then on the output grows by one token per observed token gap.

import { DueQueue } from '../blocks/due-queue.ts';
import type { Booking, WorkerIndex } from '../types.ts';
import { type ActiveBlocks, type BookingRecord, blocksOf } from './active-blocks.ts';
import { assumedTokenGapMs } from './decode-model.ts';
import { assumedPrefillTokensPerS } from './prefill-model.ts';
import type { SpeedModel } from './speed-model.ts';

export class WholeAnswerProgress {
  readonly #ledger: ActiveBlocks;
  readonly #speed: SpeedModel;
  readonly #onPrefillDone: (record: BookingRecord, nowMs: number) => void;
  readonly #due = new DueQueue<Booking>();
  /** Bookings before their first token, in order of booking. */
  readonly #waiting: Booking[][] = [];

  constructor(ledger: ActiveBlocks, speed: SpeedModel, onPrefillDone: (record: BookingRecord, nowMs: number) => void) {
    this.#ledger = ledger;
    this.#speed = speed;
    this.#onPrefillDone = onPrefillDone;
  }

  booked(record: BookingRecord, nowMs: number): void {
    this.#waiting[record.worker] ??= [];
    const waiting = this.#waiting[record.worker]!;
    let past = 0;
    while (past < waiting.length && !this.#waits(waiting[past]!)) past++;
    if (past > 0) waiting.splice(0, past);
    waiting.push(record.booking);
    const rate = this.#speed.prefillTokensPerS(record.worker) || assumedPrefillTokensPerS;
    this.#come(record, nowMs + (record.uncachedTokens / rate) * 1000);
  }

  /**
   * The request with number `order` got its first token. Requests booked earlier on the worker must have had theirs.
   */
  overtaken(worker: WorkerIndex, order: number, nowMs: number): void {
    const waiting = this.#waiting[worker];
    if (!waiting || waiting.length === 0) return;
    let past = 0;
    for (; past < waiting.length; past++) {
      const record = this.#ledger.find(waiting[past]!);
      if (!record) continue;
      if (record.order >= order) break;
      if (!record.hadFirstToken) this.#prefillDone(record, nowMs);
    }
    waiting.splice(0, past);
  }

  /** Updates every whole-answer booking to its estimated state at `nowMs`. */
  advance(nowMs: number): void {
    for (let booking = this.#due.popDue(nowMs); booking !== undefined; booking = this.#due.popDue(nowMs)) {
      const record = this.#ledger.find(booking);
      if (!record || record.nextDueMs > nowMs) continue;
      if (record.hadFirstToken) this.#grow(record, nowMs);
      else this.#prefillDone(record, nowMs);
    }
  }

  #waits(booking: Booking): boolean {
    const record = this.#ledger.find(booking);
    return record !== undefined && !record.hadFirstToken;
  }

  #prefillDone(record: BookingRecord, nowMs: number): void {
    this.#onPrefillDone(record, nowMs);
    this.#grow(record, nowMs);
  }

  /** Sets the estimated output tokens and schedules the next update for when the next block begins. */
  #grow(record: BookingRecord, nowMs: number): void {
    const gapMs = this.#speed.tokenGapMs(record.worker) || assumedTokenGapMs;
    const assumed = 1 + Math.floor((nowMs - record.firstTokenMs) / gapMs);
    const tokens = Math.max(record.outputTokens[0]!, Math.min(assumed, record.maxOutputTokens));
    for (let sequence = 0; sequence < record.outputTokens.length; sequence++) {
      this.#ledger.setOutputTokens(record, tokens, sequence);
    }
    if (tokens >= record.maxOutputTokens) return;
    const filled = blocksOf(record.tailTokens + tokens, record.blockSize) * record.blockSize - record.tailTokens;
    this.#come(record, Math.max(nowMs + 1, record.firstTokenMs + filled * gapMs));
  }

  /** Schedules the next update. `advance` skips an earlier entry of the same booking. */
  #come(record: BookingRecord, dueMs: number): void {
    record.nextDueMs = dueMs;
    this.#due.push(dueMs, record.booking);
  }
}
