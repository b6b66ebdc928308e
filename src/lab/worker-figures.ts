// Figures of each worker of a run: its engine, its requests, and their TTFT.

import { summarize } from '../report/summary.ts';
import type { Engine } from '../sim/index.ts';
import { kvTokensOf, speedOf } from './fleet-engines.ts';
import type { RequestLog } from './request-log.ts';
import { type SummaryJson, summaryJson } from './run-figures.ts';
import type { RunSpec } from './run-spec.ts';

export interface WorkerFigures {
  /** Relative to the profile, without slow-downs. */
  readonly speed: number;
  readonly kvTokens: number;
  /** Requests placed on it. */
  readonly requests: number;
  readonly prefillTokens: number;
  /** Of the measured requests that finished. */
  readonly ttftMs: SummaryJson;
}

/** @param first index of the first measured request */
export function workerFigures(
  spec: RunSpec,
  log: RequestLog,
  engines: readonly Engine[],
  first: number,
): WorkerFigures[] {
  const requests = new Int32Array(spec.workers);
  const ttfts: number[][] = Array.from({ length: spec.workers }, () => []);
  for (let index = 0; index < log.count; index++) {
    const worker = log.worker[index]!;
    if (worker < 0) continue;
    requests[worker]!++;
    if (index >= first && log.isDone(index)) ttfts[worker]!.push(log.ttftMs(index));
  }
  return engines.map((engine, worker) => ({
    speed: speedOf(spec, worker),
    kvTokens: kvTokensOf(spec, worker),
    requests: requests[worker]!,
    prefillTokens: engine.counters.prefillTokens,
    ttftMs: summaryJson(summarize(Float64Array.from(ttfts[worker]!))),
  }));
}
