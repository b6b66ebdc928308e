// The stream of decisions for viewers: at most so many in each batch, and how many were left out.

import type { DecisionRecord } from '../telemetry/decision-log.ts';
import type { DecisionBatch, DecisionShort } from './decision-data.ts';
import { shortOf, surpriseOf } from './decision-view.ts';

/** New decisions in a batch. */
export const newPerBatchMax = 12;
/** Decisions shown whose end is awaited; the oldest are not updated any more. */
const awaitedMax = 1024;
/** Updates in a batch, and remarkable ends (surprises, failures, retries) of decisions that were left out. */
const updatesPerBatchMax = 48;

/** Does nothing until it is turned on. Memory is bounded by the limits above. */
export class DecisionFeed {
  readonly #fresh: DecisionRecord[] = [];
  readonly #changed = new Set<DecisionRecord>();
  readonly #awaited = new Set<DecisionRecord>();
  #on = false;
  #seen = 0;
  /** One in so many decisions is shown; as of the last batch. */
  #stride = 1;

  /** Off: forgets everything. */
  turn(on: boolean): void {
    if (this.#on === on) return;
    this.#on = on;
    this.#fresh.length = 0;
    this.#changed.clear();
    this.#awaited.clear();
    this.#seen = 0;
    this.#stride = 1;
  }

  routed(record: DecisionRecord): void {
    if (!this.#on) return;
    this.#seen += 1;
    if (record.seq % this.#stride !== 0 || this.#fresh.length >= newPerBatchMax) return;
    this.#fresh.push(record);
    this.#await(record);
  }

  /** A page fetches this decision: it shall learn how it ends. */
  listed(record: DecisionRecord): void {
    if (this.#on && record.outcome === null) this.#await(record);
  }

  firstToken(record: DecisionRecord): void {
    if (this.#on && this.#awaited.has(record)) this.#change(record);
  }

  ended(record: DecisionRecord): void {
    if (!this.#on) return;
    // Those that are shown must not stay in flight for ever; they are bounded by `awaitedMax`.
    if (this.#awaited.delete(record)) this.#changed.add(record);
    else if (record.outcome === 'failed' || record.attempt > 1 || surpriseOf(record) !== null) this.#change(record);
  }

  /** Empties the batch. @param elapsedMs since the last one @returns null if there is nothing to show */
  take(elapsedMs: number): DecisionBatch | null {
    if (this.#seen === 0 && this.#changed.size === 0) return null;
    const decisions: DecisionShort[] = this.#fresh.map(shortOf);
    for (const record of this.#changed) if (!this.#fresh.includes(record)) decisions.push(shortOf(record));
    const leftOut = this.#seen - this.#fresh.length;
    const perS = (this.#seen * 1000) / Math.max(1, elapsedMs);
    this.#stride = Math.max(1, Math.ceil(this.#seen / newPerBatchMax));
    this.#fresh.length = 0;
    this.#changed.clear();
    this.#seen = 0;
    return { decisions, leftOut, perS: Math.round(perS * 10) / 10 };
  }

  #change(record: DecisionRecord): void {
    if (this.#changed.size < updatesPerBatchMax) this.#changed.add(record);
  }

  #await(record: DecisionRecord): void {
    this.#awaited.add(record);
    if (this.#awaited.size <= awaitedMax) return;
    for (const oldest of this.#awaited) {
      this.#awaited.delete(oldest);
      return;
    }
  }
}
