// How evenly a quantity is spread over workers.

export interface Imbalance {
  readonly max: number;
  readonly mean: number;
  /** 1 if all values are equal, also if all are 0. */
  readonly maxOverMean: number;
}

/** @param values one non-negative value per worker, at least one */
export function imbalance(values: readonly number[]): Imbalance {
  if (values.length === 0) throw new RangeError('imbalance of no workers');
  const max = Math.max(...values);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { max, mean, maxOverMean: mean === 0 ? 1 : max / mean };
}
