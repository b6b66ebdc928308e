// Regret of a decision: how much earlier the best worker would have sent the first token, by present knowledge.
//
// When the first token arrives, the router knows how long the prefill booked before the request really took on every
// worker: until the last of it was done, or at least until now. Adding the request's own prefill, as the model predicts
// it now, gives the TTFT that every candidate would have had.

import type { BookingRecord } from '../ledger/active-blocks.ts';
import type { SpeedModel } from '../ledger/speed-model.ts';
import type { WorkerIndex } from '../types.ts';
import type { Candidates } from './candidates.ts';

/** Ends of prefills kept per worker. Older ones are earlier than the bookings whose first tokens arrive now. */
const endsKept = 32;

/** The ends of the latest prefills of one worker, in order of time. */
class PrefillEnds {
  readonly orders = new Float64Array(endsKept).fill(Number.POSITIVE_INFINITY);
  readonly timesMs = new Float64Array(endsKept);
  next = 0;

  add(order: number, nowMs: number): void {
    this.orders[this.next] = order;
    this.timesMs[this.next] = nowMs;
    this.next = (this.next + 1) % endsKept;
  }

  /** End of the last prefill booked before `order`, among those kept. -Infinity: none is kept. */
  lastBeforeMs(order: number): number {
    for (let back = 1; back <= endsKept; back++) {
      const at = (this.next - back + endsKept) % endsKept;
      if (this.orders[at]! < order) return this.timesMs[at]!;
    }
    return Number.NEGATIVE_INFINITY;
  }
}

/** Tokens that each candidate had to compute for a request and for other routers before it, kept from the choice to the first token. Reused. */
class Alternatives {
  count = 0;
  worker = new Float64Array(8);
  uncachedTokens = new Float64Array(8);
  othersTokens = new Float64Array(8);

  copy({ count, worker, uncachedTokens, othersPrefillTokens }: Candidates): void {
    if (count > this.worker.length) {
      this.worker = new Float64Array(2 * count);
      this.uncachedTokens = new Float64Array(2 * count);
      this.othersTokens = new Float64Array(2 * count);
    }
    this.count = count;
    for (let i = 0; i < count; i++) {
      this.worker[i] = worker[i]!;
      this.uncachedTokens[i] = uncachedTokens[i]!;
      this.othersTokens[i] = othersPrefillTokens[i]!;
    }
  }
}

/** Regrets of the decisions for one worker. */
class Regrets {
  count = 0;
  sumMs = 0;
}

const noRegrets: Readonly<Regrets> = new Regrets();

/** `booked` and `firstToken` are O(candidates). */
export class Hindsight {
  readonly #speed: SpeedModel;
  readonly #ends: PrefillEnds[] = [];
  readonly #regrets: Regrets[] = [];
  /** By slot of the booking record. */
  readonly #alternatives: Alternatives[] = [];
  /** The best worker of the latest `firstToken`. */
  bestWorker: WorkerIndex = 0;

  constructor(speed: SpeedModel) {
    this.#speed = speed;
  }

  reset(worker: WorkerIndex): void {
    this.#ends[worker] = new PrefillEnds();
    this.#regrets[worker] = new Regrets();
  }

  regrets(worker: WorkerIndex): Readonly<Regrets> {
    return this.#regrets[worker] ?? noRegrets;
  }

  booked(record: BookingRecord, candidates: Candidates): void {
    this.#alternatives[record.slot] ??= new Alternatives();
    this.#alternatives[record.slot]!.copy(candidates);
  }

  /** Call when a prefill ends, for every prefill, before `firstToken`. */
  ended({ worker, order }: BookingRecord, nowMs: number): void {
    this.#ends[worker]!.add(order, nowMs);
  }

  /** @returns the regret in ms; 0 if the choice was best */
  firstToken(record: BookingRecord, nowMs: number): number {
    const { worker, isl, order, bookedMs } = record;
    const { count, worker: workers, uncachedTokens, othersTokens } = this.#alternatives[record.slot]!;
    const actualMs = nowMs - bookedMs;
    let bestMs = actualMs;
    this.bestWorker = worker;
    for (let i = 0; i < count; i++) {
      const other = workers[i]!;
      if (other === worker || this.#speed.isBehind(other, order)) continue;
      const waitedMs = Math.max(0, this.#ends[other]!.lastBeforeMs(order) - bookedMs);
      const uncached = uncachedTokens[i]!;
      const workMs = this.#speed.workMs(uncached + othersTokens[i]!, isl - uncached);
      const ownMs = this.#speed.slownessAt(other, nowMs) * (workMs + this.#speed.fixedMs);
      if (waitedMs + ownMs >= bestMs) continue;
      bestMs = waitedMs + ownMs;
      this.bestWorker = other;
    }
    const regrets = this.#regrets[worker]!;
    regrets.count++;
    regrets.sumMs += actualMs - bestMs;
    return actualMs - bestMs;
  }
}
