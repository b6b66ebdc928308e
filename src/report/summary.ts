// Mean and quantiles of exact samples.

export interface Summary {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

/**
 * Nearest-rank quantile: the smallest sample such that at least a share `q` of all samples is not larger. NaN without
 * samples.
 */
export function quantile(sorted: Float64Array, q: number): number {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile lies in 0 .. 1, got ${q}`);
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? Number.NaN;
}

/** All NaN without samples. */
export function summarize(samples: ArrayLike<number>): Summary {
  const sorted = Float64Array.from(samples).sort();
  let sum = 0;
  for (const sample of sorted) sum += sample;
  return { mean: sum / sorted.length, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}
