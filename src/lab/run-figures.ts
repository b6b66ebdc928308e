// Stored form of result numbers: rounded, and null for a missing value.

import type { Summary } from '../report/summary.ts';

export interface SummaryJson {
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p99: number | null;
}

export function summaryJson({ mean, p50, p99 }: Summary): SummaryJson {
  return { mean: orNull(mean), p50: orNull(p50), p99: orNull(p99) };
}

/** Rounds to seven digits, which is more than any figure is accurate to and keeps files small. */
export function rounded(value: number): number {
  return Number(value.toPrecision(7));
}

export function orNull(value: number): number | null {
  return Number.isFinite(value) ? rounded(value) : null;
}
