// What the page is told of the past: series with equal steps.

/** One point a second for 5 minutes, or one every 10 s for 1 hour. */
export type Span = 'fine' | 'coarse';

/** Series with equal steps; all arrays have the length of the longest one kept, oldest first. */
export interface History {
  readonly span: Span;
  readonly stepMs: number;
  /** Time of the last point. Point i of n is at endMs - (n - 1 - i) x stepMs. */
  readonly endMs: number;
  /** Null: of the fleet. */
  readonly worker: string | null;
  /** Null where there was no value. */
  readonly series: Readonly<Record<HistorySeries, readonly (number | null)[]>>;
}

/**
 * Of a worker: as in `WorkerLoadState` and `WorkerRates`; `usage`: active blocks over capacity, 0 to 1. Of the fleet:
 * sums, medians over all, and `usage` of the whole. `imbalance` and `waiting` are of the fleet only (null for a worker).
 */
export type HistorySeries =
  | 'activeBlocks'
  | 'usage'
  | 'activePrefillTokens'
  | 'runningRequests'
  | 'requestsPerS'
  | 'ttftP50Ms'
  | 'itlMs'
  | 'imbalance'
  | 'waiting';

/** Short series of every worker for sparklines: the last 60 points of `fine`, oldest first. */
export interface Sparklines {
  readonly stepMs: number;
  readonly endMs: number;
  readonly workers: Readonly<Record<string, WorkerSparklines>>;
}

export type WorkerSparklines = Readonly<
  Record<'usage' | 'requestsPerS' | 'ttftP50Ms' | 'itlMs', readonly (number | null)[]>
>;
