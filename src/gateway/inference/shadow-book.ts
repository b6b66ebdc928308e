// Books what a shadow's answer reports: in the ledger of its pool and in its record, not in the metrics of real requests.

import type { Engine } from '../engines/engine.ts';
import type { BookingLease } from '../pools/booking-lease.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import { faultOf } from './attempt-outcome.ts';
import type { AttemptEnd, AttemptReport } from './attempt-report.ts';

export class ShadowBook implements AttemptReport {
  readonly #lease: BookingLease;
  readonly #record: DecisionRecord;
  readonly #engine: Engine;
  readonly #startedMs: number;

  /** @param startedMs when the copy was made */
  constructor(lease: BookingLease, record: DecisionRecord, engine: Engine, startedMs: number) {
    this.#lease = lease;
    this.#record = record;
    this.#engine = engine;
    this.#startedMs = startedMs;
  }

  mayMove(): boolean {
    return false;
  }

  mayGiveUp(): boolean {
    return false;
  }

  tokens(choice: number, count: number, nowMs: number): void {
    this.#lease.tokens(choice, count, nowMs);
    if (this.#record.ttftMs !== null) return;
    this.#record.firstToken(nowMs - this.#startedMs, this.#lease.hindsight);
    this.#engine.health.begun();
  }

  totalTokens(count: number): void {
    this.#lease.totalTokens(count);
  }

  unobserved(): void {
    // Its tokens are missing from the comparison, and from nothing else.
  }

  settled({ outcome, status, streamError, outputTokens, usage: reading }: AttemptEnd): void {
    const record = this.#record;
    const nowMs = performance.now();
    const isAnswered = outcome.kind === 'answered';
    const error = faultOf(outcome) ?? (isAnswered ? streamError : null);
    record.outcome = outcome.kind === 'gone' ? 'aborted' : error === null ? 'done' : 'failed';
    this.#lease.release(record.outcome, nowMs);
    const usage = reading === 'absent' || reading === 'malformed' ? null : reading;
    record.usage = usage !== null && isAnswered && status === 200 ? this.#engine.complete(usage) : usage;
    record.status = status === 0 ? null : status;
    record.error = error;
    record.durationMs = nowMs - this.#startedMs;
    record.outputTokens = outputTokens ?? usage?.completionTokens ?? null;
    record.end();
    if (isAnswered && status < 500 && status !== 429) this.#engine.health.worked();
  }
}
