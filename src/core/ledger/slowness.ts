// Slowness of each worker relative to its pool: observed over predicted times, weighted towards recent samples.

import type { WorkerIndex } from '../types.ts';

/** Predicted and observed time that a new worker starts with, so that a few samples have little effect. */
const priorMs = 100;
/** A sample counts as at most this many times longer or shorter than the estimate, which limits outliers. */
const jumpMax = 3;
/** A sample beyond this factor of the estimate disagrees with it. */
const disagreement = 1.5;
/** This many samples in a row that disagree on the same side show that the worker has changed. */
const streakMin = 3;
/** Weight of the old evidence once the worker has changed. */
const changedMemory = 0.7;
/** Evidence that a worker is slow counts half after this time without a sample, so that it is tried again. */
const halfLifeMs = 5000;

/** Longer times are ignored. */
const timeMsMax = 1e12;

/** One entry per worker, cleared by `reset`. Every call is O(1). */
export class Slowness {
  readonly #memory: number;
  #observed: Float64Array = new Float64Array(8);
  #predicted: Float64Array = new Float64Array(8);
  /** Samples in a row that disagree: above 0 too slow, below 0 too fast. */
  #streak: Int32Array = new Int32Array(8);
  #lastMs: Float64Array = new Float64Array(8);
  /** Effective number of samples. */
  #samples: Float64Array = new Float64Array(8);
  /** Mean absolute logarithm of a sample over the estimate, each bounded by `jumpMax`. */
  #spread: Float64Array = new Float64Array(8);

  /** @param memory weight of the old evidence at each sample */
  constructor(memory: number) {
    this.#memory = memory;
  }

  reset(worker: WorkerIndex): void {
    if (worker >= this.#observed.length) this.#grow(worker);
    this.#observed[worker] = 0;
    this.#predicted[worker] = 0;
    this.#streak[worker] = 0;
    this.#lastMs[worker] = Number.NEGATIVE_INFINITY;
    this.#samples[worker] = 0;
    this.#spread[worker] = 0;
  }

  /** The estimate itself, whatever its age. */
  estimate(worker: WorkerIndex): number {
    return (this.#observed[worker]! + priorMs) / (this.#predicted[worker]! + priorMs);
  }

  /**
   * The estimate as far as it is certain: its distance from 1 counts less by two standard errors, and slowness halves
   * for every `halfLifeMs` without a sample.
   */
  at(worker: WorkerIndex, nowMs: number): number {
    const distance = (this.estimate(worker) - 1) * Math.max(0, 1 - 2 * this.uncertainty(worker));
    if (distance <= 0) return 1 + distance;
    return 1 + distance * 2 ** ((this.#lastMs[worker]! - nowMs) / halfLifeMs);
  }

  /** Relative standard error of the estimate. 1 before the first sample. */
  uncertainty(worker: WorkerIndex): number {
    const samples = this.#samples[worker]!;
    return samples === 0 ? 1 : Math.min(1, (1.25 * this.#spread[worker]!) / Math.sqrt(samples));
  }

  sample(worker: WorkerIndex, observedMs: number, predictedMs: number, nowMs: number): void {
    if (!(observedMs > 0 && observedMs < timeMsMax && predictedMs > 1e-3 && predictedMs < timeMsMax)) return;
    const estimate = this.estimate(worker);
    const ratio = observedMs / predictedMs / estimate;
    const streak = this.#streak[worker]!;
    if (ratio > disagreement) this.#streak[worker] = Math.max(1, streak + 1);
    else if (ratio < 1 / disagreement) this.#streak[worker] = Math.min(-1, streak - 1);
    else this.#streak[worker] = 0;
    const changed = Math.abs(this.#streak[worker]!) >= streakMin;
    const memory = changed ? changedMemory : this.#memory;
    const bounded = Math.max(1 / jumpMax, Math.min(jumpMax, ratio));
    this.#observed[worker] = this.#observed[worker]! * memory + bounded * estimate * predictedMs;
    this.#predicted[worker] = this.#predicted[worker]! * memory + predictedMs;
    const before = this.#samples[worker]!;
    this.#samples[worker] = before * memory + 1;
    this.#spread[worker]! += (Math.abs(Math.log(bounded)) - this.#spread[worker]!) / Math.min(before + 1, 20);
    this.#lastMs[worker] = nowMs;
  }

  #grow(worker: WorkerIndex): void {
    const length = 2 * worker;
    const grown = (from: Float64Array): Float64Array => {
      const to = new Float64Array(length);
      to.set(from);
      return to;
    };
    this.#observed = grown(this.#observed);
    this.#predicted = grown(this.#predicted);
    this.#lastMs = grown(this.#lastMs);
    this.#samples = grown(this.#samples);
    this.#spread = grown(this.#spread);
    const streak = new Int32Array(length);
    streak.set(this.#streak);
    this.#streak = streak;
  }
}
