// Result table of several policies on one workload, for terminals and HTML.

import { type Column, formatNumber } from '../report/text-table.ts';
import { type PairedRatio, pairedTtftRatio } from './paired-ratio.ts';
import type { PolicyRuns } from './report-section.ts';
import type { RunResult } from './run-result.ts';

export interface ResultTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

const quantiles = (group: string): Column[] => ['mean', 'p50', 'p99'].map((title) => ({ title, group }));

const policyColumn: Column = { title: 'policy', align: 'left' };

/** The main figure, so it is next to the policy's name. */
const ratioColumn = (reference: string): Column => ({ title: `TTFT / ${reference}`, align: 'left' });

const columns: readonly Column[] = [
  { title: 'failed' },
  { title: 'good, %' },
  ...quantiles('TTFT, s'),
  ...quantiles('TPOT, ms'),
  { title: 'mean', group: 'E2E, s' },
  { title: 'req/s' },
  { title: 'rate', group: 'hits' },
  { title: 'of ceiling', group: 'hits' },
  { title: 'max/mean', group: 'prefill' },
  { title: 'of bound', group: 'TTFT' },
];

export const tableNotes: readonly string[] = [
  'TTFT counts from the arrival; TPOT = (E2E - TTFT) / (OSL - 1). Means are of the requests that ended, a failed one is infinite in quantiles.',
  'Good: within the SLO; a failed request is not.',
  'Hits: prompt tokens found in the caches; of ceiling: of what one infinite cache of all workers would find.',
  'Prefill: tokens computed on the busiest worker over the mean. TTFT of bound: a lower bound of the mean over the mean.',
];

export const ratioNote =
  'TTFT / ...: ratio of the means over the same requests, with a 95 % bootstrap interval over stretches of neighbouring arrivals.';

/** Means over the seeds. @param reference policy that ratios refer to, if it is among them */
export function resultTable(policies: readonly PolicyRuns[], reference?: string): ResultTable {
  const base = policies.find(({ policy }) => policy === reference);
  return {
    columns: [policyColumn, ...(base === undefined ? [] : [ratioColumn(base.policy)]), ...columns],
    rows: policies.map(({ policy, runs }) => [
      policy,
      ...(base === undefined ? [] : [ratioCell(policy === base.policy ? null : pairedTtftRatio(runs, base.runs))]),
      formatNumber(runs.reduce((sum, { measured }) => sum + measured.failed, 0)),
      cell(runs, ({ measured }) => measured.goodShare, 100, 1),
      ...summaryCells(runs, ({ measured }) => measured.ttftMs, 1 / 1000, 3),
      ...summaryCells(runs, ({ measured }) => measured.tpotMs, 1, 1),
      cell(runs, ({ measured }) => measured.e2eMs.mean, 1 / 1000, 2),
      cell(runs, ({ requestsPerS }) => requestsPerS, 1, 2),
      cell(runs, ({ cache }) => cache.hitRate, 1, 3),
      cell(runs, ({ cache }) => cache.ceilingReached, 1, 2),
      cell(runs, ({ workers }) => workers.prefillMaxOverMean, 1, 2),
      cell(runs, ({ bounds }) => bounds.ttftReached, 1, 2),
    ]),
  };
}

/** Mean over the seeds. Null if a run has no value. */
export function meanOver(runs: readonly RunResult[], of: (run: RunResult) => number | null): number | null {
  let sum = 0;
  for (const run of runs) {
    const value = of(run);
    if (value === null) return null;
    sum += value;
  }
  return sum / runs.length;
}

function summaryCells(
  runs: readonly RunResult[],
  of: (run: RunResult) => { readonly mean: number | null; readonly p50: number | null; readonly p99: number | null },
  factor: number,
  digits: number,
): string[] {
  return (['mean', 'p50', 'p99'] as const).map((field) => cell(runs, (run) => of(run)[field], factor, digits));
}

function cell(
  runs: readonly RunResult[],
  of: (run: RunResult) => number | null,
  factor: number,
  digits: number,
): string {
  const value = meanOver(runs, of);
  return value === null ? '-' : formatNumber(value * factor, digits);
}

function ratioCell(ratio: PairedRatio | null): string {
  if (ratio === null) return '-';
  const shown = (value: number): string => formatNumber(value, 3);
  const { interval } = ratio;
  return interval === null
    ? shown(ratio.ratio)
    : `${shown(ratio.ratio)} [${shown(interval.low)}, ${shown(interval.high)}]`;
}
