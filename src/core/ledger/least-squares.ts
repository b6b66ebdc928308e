// Recursive least squares with forgetting: a linear model of few weights, learnt one sample at a time.

/** A sample beyond this many standard deviations is an outlier, and counts as if it were at the limit. */
const deviationsMax = 3;

/**
 * y = sum of weights[i] x features[i]. The weights minimise the squared errors over the sample variances, plus the
 * squared distance from the prior over its variance. A sample that is k samples old has the weight `memory` ^ k in the
 * direction of the later ones (directional forgetting: Kulhavy and Karny 1984). O(n^2) per sample.
 */
export class LeastSquares {
  readonly weights: Float64Array;
  /** Row by row; symmetric. */
  readonly #covariance: Float64Array;
  readonly #memory: number;
  readonly #gain: Float64Array;

  /** @param errors standard deviation of each weight of the prior */
  constructor(prior: readonly number[], errors: readonly number[], memory: number) {
    const n = prior.length;
    this.weights = Float64Array.from(prior);
    this.#covariance = new Float64Array(n * n);
    for (let i = 0; i < n; i++) this.#covariance[i * n + i] = errors[i]! * errors[i]!;
    this.#memory = memory;
    this.#gain = new Float64Array(n);
  }

  predict(features: Float64Array): number {
    let sum = 0;
    for (let i = 0; i < this.weights.length; i++) sum += this.weights[i]! * features[i]!;
    return sum;
  }

  /** @param variance expected squared error of the sample under the true weights; ignored unless finite and above 0 */
  learn(features: Float64Array, y: number, variance: number): void {
    const error = y - this.predict(features);
    if (!Number.isFinite(error) || !(variance > 0 && Number.isFinite(variance))) return;
    const n = this.weights.length;
    const covariance = this.#covariance;
    const gain = this.#gain;
    let spread = variance;
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += covariance[i * n + j]! * features[j]!;
      gain[i] = sum;
      spread += sum * features[i]!;
    }
    const bound = deviationsMax * Math.sqrt(spread);
    const step = Math.max(-bound, Math.min(bound, error)) / spread;
    for (let i = 0; i < n; i++) this.weights[i]! += gain[i]! * step;
    // Forgets only in the direction of the sample, so the covariance does not grow in directions never sampled.
    const shown = spread - variance;
    if (!(shown > 0)) return;
    const forgetting = this.#memory - ((1 - this.#memory) * variance) / shown;
    if (forgetting === 0) return;
    const divisor = variance / forgetting + shown;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) covariance[i * n + j]! -= (gain[i]! * gain[j]!) / divisor;
    }
  }
}
