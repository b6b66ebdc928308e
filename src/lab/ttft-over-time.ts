// TTFT over the time of arrival: in windows of equal length, and around a slow-down.

import { quantile, summarize } from '../report/summary.ts';
import type { SlowTime } from './fleet.ts';
import type { RequestLog } from './request-log.ts';
import { orNull, rounded, type SummaryJson, summaryJson } from './run-figures.ts';

/** Columns of equal length. A window contains the measured requests that arrived in it; a failed one counts as infinite. */
export interface TtftOverTime {
  readonly startS: number;
  readonly windowS: number;
  readonly requests: readonly number[];
  readonly p50Ms: readonly (number | null)[];
  readonly p99Ms: readonly (number | null)[];
}

export interface SlowDownFigures {
  readonly worker: number;
  readonly fromS: number;
  readonly untilS: number;
  readonly factor: number;
  /** TTFT of the measured requests that arrived before, during and after it. */
  readonly before: SummaryJson;
  readonly during: SummaryJson;
  readonly after: SummaryJson;
  /** Figures of the requests that arrived at least `afterS` after its start and before its end. */
  readonly settling: readonly { readonly afterS: number; readonly requests: number; readonly p99Ms: number | null }[];
}

export const windowsMax = 40;

/** Seconds after the start of a slow-down. */
const settlingS: readonly number[] = [0, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 45, 60, 90, 120];

/** @param first index of the first measured request */
export function ttftOverTime(log: RequestLog, first: number): TtftOverTime {
  const { startNs, endNs } = arrivalSpan(log, first);
  const windowNs = (endNs - startNs) / windowsMax;
  const windows: number[][] = Array.from({ length: windowNs > 0 ? windowsMax : 1 }, () => []);
  for (let index = first; index < log.count; index++) {
    const arrivalNs = log.arrivalNs[index]!;
    if (Number.isNaN(arrivalNs)) continue;
    const window = windowNs > 0 ? Math.min(windowsMax - 1, Math.floor((arrivalNs - startNs) / windowNs)) : 0;
    windows[window]!.push(ttftOf(log, index));
  }
  const sorted = windows.map((ttfts) => Float64Array.from(ttfts).sort());
  return {
    startS: rounded(startNs / 1e9),
    windowS: rounded(windowNs / 1e9),
    requests: windows.map(({ length }) => length),
    p50Ms: sorted.map((ttfts) => orNull(quantile(ttfts, 0.5))),
    p99Ms: sorted.map((ttfts) => orNull(quantile(ttfts, 0.99))),
  };
}

export function slowDownFigures(log: RequestLog, first: number, slow: SlowTime | null): SlowDownFigures | null {
  if (slow === null) return null;
  const { worker, fromNs, untilNs, factor } = slow;
  const between = (startNs: number, endNs: number): Float64Array => {
    const ttfts: number[] = [];
    for (let index = first; index < log.count; index++) {
      const arrivalNs = log.arrivalNs[index]!;
      if (arrivalNs >= startNs && arrivalNs < endNs) ttfts.push(ttftOf(log, index));
    }
    return Float64Array.from(ttfts);
  };
  const summaryOf = (startNs: number, endNs: number): SummaryJson => summaryJson(summarize(between(startNs, endNs)));
  const settling = settlingS
    .filter((afterS) => fromNs + afterS * 1e9 < untilNs)
    .map((afterS) => {
      const ttfts = between(fromNs + afterS * 1e9, untilNs);
      return { afterS, requests: ttfts.length, p99Ms: orNull(quantile(ttfts.sort(), 0.99)) };
    });
  return {
    worker,
    fromS: rounded(fromNs / 1e9),
    untilS: rounded(untilNs / 1e9),
    factor,
    before: summaryOf(Number.NEGATIVE_INFINITY, fromNs),
    during: summaryOf(fromNs, untilNs),
    after: summaryOf(untilNs, Number.POSITIVE_INFINITY),
    settling,
  };
}

const ttftOf = (log: RequestLog, index: number): number =>
  log.isDone(index) ? log.ttftMs(index) : Number.POSITIVE_INFINITY;

function arrivalSpan(log: RequestLog, first: number): { readonly startNs: number; readonly endNs: number } {
  let startNs = Number.POSITIVE_INFINITY;
  let endNs = Number.NEGATIVE_INFINITY;
  for (let index = first; index < log.count; index++) {
    const arrivalNs = log.arrivalNs[index]!;
    if (arrivalNs < startNs) startNs = arrivalNs;
    if (arrivalNs > endNs) endNs = arrivalNs;
  }
  return { startNs, endNs };
}
