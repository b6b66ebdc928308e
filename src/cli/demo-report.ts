// Output of the demo results: a table for people, JSON for programs.

import type { Summary } from '../report/summary.ts';
import { type Column, formatNumber, formatTable } from '../report/text-table.ts';
import type { Loads } from './demo-gateway.ts';
import type { MachineLoad } from './demo-machine.ts';
import { type RowResult, warmUpRequests } from './demo-run.ts';

/** One row of the file that `--json` writes. */
export interface RowJson {
  readonly requests: number;
  readonly failed: number;
  readonly ttftMs: Summary;
  readonly itlMs: Summary;
  readonly e2eMs: Summary;
  readonly requestsPerS: number;
  readonly prefixHitRate: number;
  readonly prefillTokensMax: number;
  readonly prefillMaxOverMean: number;
  readonly loadsAfter: Loads;
  /** If the machine was too busy, the other figures of the row mean little. */
  readonly machine: MachineLoad;
}

export function rowJson({ run, ...row }: RowResult): RowJson {
  return {
    requests: run.requests,
    failed: run.failed,
    ttftMs: run.ttftMs,
    itlMs: run.itlMs,
    e2eMs: run.e2eMs,
    requestsPerS: run.requestsPerS,
    prefixHitRate: row.prefixHitRate,
    prefillTokensMax: row.prefillTokensMax,
    prefillMaxOverMean: row.prefillMaxOverMean,
    loadsAfter: row.loadsAfter,
    machine: row.machine,
  };
}

const quantiles = (group: string): Column[] => ['mean', 'p50', 'p99'].map((title) => ({ title, group }));

const tableColumns: readonly Column[] = [
  { title: 'policy', align: 'left' },
  ...quantiles('TTFT, s'),
  ...quantiles('ITL, ms'),
  ...quantiles('E2E, s'),
  { title: 'req/s' },
  { title: 'hit rate' },
  { title: 'max', group: 'prefill tokens' },
  { title: 'max/mean', group: 'prefill tokens' },
  { title: 'failed' },
];

export const columnNotes: readonly string[] = [
  'TTFT and E2E count from the scheduled arrival. ITL: gaps between neighbouring tokens, over all requests. req/s: over',
  'the makespan. Hit rate: cached over input tokens, counted by the engines. Prefill tokens: computed on one worker.',
  `Each row has new engines and a new gateway; ${warmUpRequests} short requests warm up code and connections, not caches.`,
];

export function resultTable(rows: ReadonlyMap<string, RowResult>): string[] {
  return formatTable(
    tableColumns,
    [...rows].map(([name, { run, ...row }]) => [
      name,
      ...cells(run.ttftMs, 1 / 1000, 2),
      ...cells(run.itlMs, 1, 1),
      ...cells(run.e2eMs, 1 / 1000, 2),
      formatNumber(run.requestsPerS, 1),
      formatNumber(row.prefixHitRate, 3),
      formatNumber(row.prefillTokensMax),
      formatNumber(row.prefillMaxOverMean, 2),
      formatNumber(run.failed),
    ]),
  );
}

function cells({ mean, p50, p99 }: Summary, factor: number, digits: number): string[] {
  return [mean, p50, p99].map((value) => formatNumber(value * factor, digits));
}
