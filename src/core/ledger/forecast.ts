// Forecast of a request's TTFT and TPOT from the terms of the speed model, corrected by earlier errors.

import type { WorkerIndex } from '../types.ts';
import { LeastSquares } from './least-squares.ts';

/** Terms of a forecast for one request on one worker. All are predictions of the speed model, in ms. */
export interface ForecastTerms {
  /** Fixed time of a prefill. */
  fixedMs: number;
  /** Prefill that is booked before the request. */
  backlogMs: number;
  /** The request's own prefill. */
  prefillMs: number;
  /** Remaining time of the current step of the decoding requests; 0 if there are none. */
  stepMs: number;
}

const memory = 0.998;
/** Expected error of a forecast: this share of it, plus this time. */
const errorShare = 0.2;
const errorMs = 5;
/** Forecasts over which a worker's errors are averaged. */
const forecastsMax = 50;
const stretchGain = 0.02;
/** An actual TPOT counts as at most this many times longer or shorter than predicted. */
const stretchMax = 4;

/** TTFT errors of one worker's latest forecasts. */
export class ForecastErrors {
  count = 0;
  /** Mean absolute error over the actual TTFT. */
  errorShare = 0;
  /** Mean signed error over the actual TTFT. Above 0: forecast too long. */
  biasShare = 0;

  add(forecastMs: number, actualMs: number): void {
    const share = (forecastMs - actualMs) / Math.max(1, actualMs);
    this.count++;
    const gain = 1 / Math.min(this.count, forecastsMax);
    this.errorShare += (Math.abs(share) - this.errorShare) * gain;
    this.biasShare += (share - this.biasShare) * gain;
  }
}

/**
 * TTFT = a x fixedMs + b x backlogMs + c x prefillMs + d x stepMs, the factors learnt by least squares of relative
 * errors over all workers. TPOT = predicted gap x stretch, the running mean of actual over predicted.
 */
export class Forecast {
  readonly #fit = new LeastSquares([1, 1, 1, 0.5], [1, 0.3, 0.3, 1], memory);
  readonly #features = new Float64Array(4);
  readonly #errors: ForecastErrors[] = [];
  #stretch = 1;

  reset(worker: WorkerIndex): void {
    this.#errors[worker] = new ForecastErrors();
  }

  errors(worker: WorkerIndex): Readonly<ForecastErrors> {
    return this.#errors[worker]!;
  }

  ttftMs(fixedMs: number, backlogMs: number, prefillMs: number, stepMs: number): number {
    const { weights } = this.#fit;
    const ms = weights[0]! * fixedMs + weights[1]! * backlogMs + weights[2]! * prefillMs + weights[3]! * stepMs;
    // Never less than half of the terms themselves.
    return Math.max(ms, (backlogMs + prefillMs) / 2, 0.1);
  }

  tpotMs(gapMs: number): number {
    return gapMs * this.#stretch;
  }

  learnTtft(worker: WorkerIndex, terms: Readonly<ForecastTerms>, forecastMs: number, actualMs: number): void {
    if (!(actualMs > 0)) return;
    this.#errors[worker]!.add(forecastMs, actualMs);
    const features = this.#features;
    features[0] = terms.fixedMs;
    features[1] = terms.backlogMs;
    features[2] = terms.prefillMs;
    features[3] = terms.stepMs;
    const error = errorShare * forecastMs + errorMs;
    this.#fit.learn(features, actualMs, error * error);
  }

  /** @param predictedGapMs the argument of `tpotMs` when the request was booked */
  learnTpot(predictedGapMs: number, actualMs: number): void {
    if (!(actualMs > 0 && predictedGapMs > 0)) return;
    const ratio = Math.max(1 / stretchMax, Math.min(stretchMax, actualMs / predictedGapMs));
    this.#stretch += (ratio - this.#stretch) * stretchGain;
  }
}
