// Forecast of a request's TTFT on each worker, from the bookings in flight and the engine's speed.

import { assert } from '../assert.ts';
import type { PolicyBooking } from '../choice/policy.ts';
import type { WorkerIndex } from '../types.ts';
import type { EngineModel } from './engine-model.ts';

/** State of one worker. Work is summed in whole nanoseconds, so that sums have no rounding errors. */
class WorkerForecast {
  /** Booking order -> work of the prefill. The first entry is the head of the queue. */
  readonly prefillNs = new Map<number, number>();
  queuedNs = 0;
  headOrder = -1;
  headNs = 0;
  /** When the current head became the head. */
  anchorMs = 0;
  decoding = 0;
  /** Prompt tokens of the decoding requests. */
  decodingTokens = 0;
}

const idle: Readonly<WorkerForecast> = new WorkerForecast();

export class TtftForecast {
  readonly #engine: EngineModel;
  readonly #prefillMsPerToken: number;
  readonly #workers: (WorkerForecast | undefined)[] = [];
  /** Latest time seen. `released` gets no time. */
  #nowMs = Number.NEGATIVE_INFINITY;

  constructor(engine: EngineModel) {
    this.#engine = engine;
    this.#prefillMsPerToken = engine.gemmMs(engine.stepTokensMax) / engine.stepTokensMax;
  }

  /** Compute of a prefill: u x prefill time of a token + attention x u x (cached + u / 2). */
  workMs(uncachedTokens: number, cachedTokens: number): number {
    const pairs = uncachedTokens * (cachedTokens + uncachedTokens / 2);
    return uncachedTokens * this.#prefillMsPerToken + this.#engine.attentionMsPerPair * pairs;
  }

  /** Work of the booked prefills, minus the time the head has had so far. O(1) */
  backlogMs(worker: WorkerIndex, nowMs: number): number {
    const { queuedNs, headNs, anchorMs } = this.#of(worker);
    if (queuedNs === 0) return 0;
    return Math.max(0, queuedNs / 1e6 - Math.min(nowMs - anchorMs, headNs / 1e6));
  }

  /**
   * (backlog + work) x slowdown by the decoding requests + the fixed part of the request's own steps. O(1)
   * @param othersTokens prefill of other routers, whose prompts are taken as short
   */
  ttftMs(worker: WorkerIndex, uncachedTokens: number, cachedTokens: number, nowMs: number, othersTokens = 0): number {
    const { stepTokensMax, stepOverheadMs } = this.#engine;
    const backlogMs = this.backlogMs(worker, nowMs) + othersTokens * this.#prefillMsPerToken;
    const prefillMs = backlogMs + this.workMs(uncachedTokens, cachedTokens);
    return prefillMs * this.#slowdown(worker) + Math.ceil(uncachedTokens / stepTokensMax) * stepOverheadMs;
  }

  /** Prompt tokens of the decoding requests on the worker. */
  decodingTokens(worker: WorkerIndex): number {
    return this.#of(worker).decodingTokens;
  }

  booked({ worker, order, isl, uncachedTokens }: PolicyBooking, nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    this.#workers[worker] ??= new WorkerForecast();
    const forecast = this.#workers[worker];
    const workNs = Math.round(this.workMs(uncachedTokens, isl - uncachedTokens) * 1e6);
    forecast.prefillNs.set(order, workNs);
    forecast.queuedNs += workNs;
    if (forecast.prefillNs.size === 1) this.#newHead(forecast);
  }

  firstToken(booking: PolicyBooking, nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const forecast = this.#booked(booking);
    this.#endPrefill(forecast, booking.order);
    forecast.decoding++;
    forecast.decodingTokens += booking.isl;
  }

  released(booking: PolicyBooking): void {
    const forecast = this.#booked(booking);
    if (this.#endPrefill(forecast, booking.order)) return;
    forecast.decoding--;
    forecast.decodingTokens -= booking.isl;
  }

  /** The worker was removed; its bookings are released already. */
  forget(worker: WorkerIndex): void {
    this.#workers[worker] = undefined;
  }

  /**
   * Time per prefill token in a step shared with d decoding requests, relative to a step of prefill only. The decoding
   * requests take d of the step's tokens (at most half), and their contexts have to be read.
   */
  #slowdown(worker: WorkerIndex): number {
    const { stepTokensMax, kvReadMsPerToken, stepOverheadMs } = this.#engine;
    const { decoding, decodingTokens } = this.#of(worker);
    const fullMs = this.#prefillMsPerToken * stepTokensMax;
    const sharedMs = fullMs + decodingTokens * kvReadMsPerToken + stepOverheadMs;
    const prefillTokens = stepTokensMax - Math.min(decoding, stepTokensMax / 2);
    return sharedMs / prefillTokens / this.#prefillMsPerToken;
  }

  /** @returns whether the prefill was still outstanding */
  #endPrefill(forecast: WorkerForecast, order: number): boolean {
    const workNs = forecast.prefillNs.get(order);
    if (workNs === undefined) return false;
    forecast.prefillNs.delete(order);
    forecast.queuedNs -= workNs;
    if (order === forecast.headOrder) this.#newHead(forecast);
    return true;
  }

  #newHead(forecast: WorkerForecast): void {
    const [head] = forecast.prefillNs;
    [forecast.headOrder, forecast.headNs] = head ?? [-1, 0];
    forecast.anchorMs = this.#nowMs;
  }

  #booked({ worker }: PolicyBooking): WorkerForecast {
    const forecast = this.#workers[worker];
    assert(forecast !== undefined, 'a booking begins with onBooked');
    return forecast;
  }

  #of(worker: WorkerIndex): Readonly<WorkerForecast> {
    return this.#workers[worker] ?? idle;
  }
}
