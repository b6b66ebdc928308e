// Rings of points with equal steps: the last five minutes by the second, the last hour by ten seconds.

import type { Span } from './history-data.ts';

export const finePoints = 300;
export const coarsePoints = 360;
export const fineStepMs = 1000;
/** Fine points that make up a coarse one. */
export const finePerCoarse = 10;
export const coarseStepMs: number = fineStepMs * finePerCoarse;

export function stepMsOf(span: Span): number {
  return span === 'fine' ? fineStepMs : coarseStepMs;
}

/**
 * How fine points become a coarse one. `mean`: of those that are numbers. `sum`: of those that are numbers. `given`: by
 * `setCoarse`.
 */
export type Rollup = 'mean' | 'sum' | 'given';

/** Points of several series; NaN: no value. Memory is fixed: (300 + 360) x series x 4 or 8 bytes. */
export class SeriesRing<Name extends string> {
  readonly names: readonly Name[];
  readonly #rollups: readonly Rollup[];
  readonly #fine: Float32Array | Float64Array;
  readonly #coarse: Float32Array | Float64Array;
  /** Points so far; the latest is at (count - 1) modulo the length. */
  #fineCount = 0;
  #coarseCount = 0;

  /** @param exact doubles, for sums beyond 2^24 */
  constructor(rollups: Readonly<Record<Name, Rollup>>, exact = false) {
    this.names = Object.keys(rollups) as Name[];
    this.#rollups = this.names.map((name) => rollups[name]);
    const column = exact ? Float64Array : Float32Array;
    this.#fine = new column(this.names.length * finePoints);
    this.#coarse = new column(this.names.length * coarsePoints);
  }

  get bytes(): number {
    return this.#fine.byteLength + this.#coarse.byteLength;
  }

  /** Adds one point to each series. @param values by position in `names`; read at once */
  add(values: ArrayLike<number>): void {
    const at = this.#fineCount % finePoints;
    for (let series = 0; series < this.names.length; series++) this.#fine[series * finePoints + at] = values[series]!;
    this.#fineCount += 1;
  }

  /** Adds a coarse point made of the last ten fine ones. @param given values of the series that are not rolled up */
  rollUp(given: ArrayLike<number>): void {
    const at = this.#coarseCount % coarsePoints;
    for (let series = 0; series < this.names.length; series++) {
      this.#coarse[series * coarsePoints + at] = this.#rolled(series, given);
    }
    this.#coarseCount += 1;
  }

  /** The latest point, `back` points ago; NaN if there is none. */
  latest(name: Name, back = 0): number {
    const point = this.#fineCount - 1 - back;
    if (point < 0 || back >= finePoints) return Number.NaN;
    return this.#fine[this.names.indexOf(name) * finePoints + (point % finePoints)]!;
  }

  /** Sum of the last points that are numbers. */
  recentSum(name: Name, points: number): number {
    let sum = 0;
    for (let back = 0; back < points; back++) {
      const value = this.latest(name, back);
      if (!Number.isNaN(value)) sum += value;
    }
    return sum;
  }

  /** Oldest first, null for no value. @param pointsMax the latest ones only */
  points(name: Name, span: Span, pointsMax: number = Number.POSITIVE_INFINITY): (number | null)[] {
    const [ring, length, count] =
      span === 'fine'
        ? ([this.#fine, finePoints, this.#fineCount] as const)
        : ([this.#coarse, coarsePoints, this.#coarseCount] as const);
    const series = this.names.indexOf(name) * length;
    const kept = Math.min(count, length, pointsMax);
    const points: (number | null)[] = [];
    for (let point = count - kept; point < count; point++) points.push(orNull(ring[series + (point % length)]!));
    return points;
  }

  #rolled(series: number, given: ArrayLike<number>): number {
    const rollup = this.#rollups[series]!;
    if (rollup === 'given') return given[series]!;
    let sum = 0;
    let numbers = 0;
    for (let back = 1; back <= Math.min(finePerCoarse, this.#fineCount); back++) {
      const value = this.#fine[series * finePoints + ((this.#fineCount - back) % finePoints)]!;
      if (Number.isNaN(value)) continue;
      sum += value;
      numbers += 1;
    }
    if (numbers === 0) return Number.NaN;
    return rollup === 'sum' ? sum : sum / numbers;
  }
}

/** JSON has no NaN; a page needs no more than four digits behind the point. */
export function orNull(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 1e4) / 1e4 : null;
}
