// Errors of a policy's TTFT predictions for the requests that it placed.

import { quantile } from '../report/summary.ts';
import type { RequestLog } from './request-log.ts';
import { orNull, rounded } from './run-figures.ts';

/** Over the measured requests that finished and had a prediction. */
export interface PredictionFigures {
  readonly requests: number;
  /** Mean of |predicted - actual| / actual. */
  readonly mape: number | null;
  /** Median of the same. */
  readonly apeP50: number | null;
  /** (Mean predicted - mean actual) / mean actual. Above 0: predictions are too long. */
  readonly bias: number | null;
  /** Null: no regret is known. */
  readonly regret: RegretFigures | null;
}

/** Over the measured requests whose regret is known. */
export interface RegretFigures {
  readonly requests: number;
  readonly meanMs: number;
  readonly p99Ms: number;
  /** Share of the choices that were best. */
  readonly bestShare: number;
}

/** @param first index of the first measured request @returns null if none had a prediction */
export function predictionFigures(log: RequestLog, first: number): PredictionFigures | null {
  const errors: number[] = [];
  let predictedMs = 0;
  let actualMs = 0;
  for (let index = first; index < log.count; index++) {
    const predicted = log.predictedTtftMs[index]!;
    if (!log.isDone(index) || Number.isNaN(predicted)) continue;
    const actual = log.ttftMs(index);
    errors.push(Math.abs(predicted - actual) / actual);
    predictedMs += predicted;
    actualMs += actual;
  }
  if (errors.length === 0) return null;
  return {
    requests: errors.length,
    mape: orNull(errors.reduce((sum, error) => sum + error) / errors.length),
    apeP50: orNull(quantile(Float64Array.from(errors).sort(), 0.5)),
    bias: orNull(predictedMs / actualMs - 1),
    regret: regretFigures(log, first),
  };
}

function regretFigures(log: RequestLog, first: number): RegretFigures | null {
  const regrets: number[] = [];
  for (let index = first; index < log.count; index++) {
    if (log.isDone(index) && !Number.isNaN(log.regretMs[index]!)) regrets.push(log.regretMs[index]!);
  }
  if (regrets.length === 0) return null;
  return {
    requests: regrets.length,
    meanMs: rounded(regrets.reduce((sum, ms) => sum + ms) / regrets.length),
    p99Ms: rounded(quantile(Float64Array.from(regrets).sort(), 0.99)),
    bestShare: rounded(regrets.filter((ms) => ms === 0).length / regrets.length),
  };
}
