// Tables of a fleet with different workers: figures per kind of worker, and a policy's reaction to a slow-down.

import { type Column, formatNumber } from '../report/text-table.ts';
import type { PolicyRuns } from './report-section.ts';
import { meanOver, type ResultTable } from './result-table.ts';
import type { RunResult } from './run-result.ts';
import type { WorkerFigures } from './worker-figures.ts';

/** The tables that a comparison of policies on one fleet needs. None if all workers are equal. */
export function fleetTables(policies: readonly PolicyRuns[]): ResultTable[] {
  const { spec, slowDown } = policies[0]!.runs[0]!;
  if (spec.fleet === undefined) return [];
  return [workerTable(policies), ...(slowDown === null ? [] : [slowDownTable(policies)])];
}

const workerColumns: readonly Column[] = [
  { title: 'policy', align: 'left' },
  { title: 'workers', align: 'left' },
  { title: 'requests', group: 'each' },
  { title: 'prefill, ktok', group: 'each' },
  { title: 'mean', group: 'TTFT, s' },
  { title: 'p99', group: 'TTFT, s' },
];

function workerTable(policies: readonly PolicyRuns[]): ResultTable {
  const rows: string[][] = [];
  for (const { policy, runs } of policies) {
    for (const [kind, workers] of kindsOf(runs[0]!)) {
      const of = (figure: (worker: WorkerFigures) => number | null, factor: number, digits: number): string => {
        const value = meanOver(runs, (run) => meanOfWorkers(run, workers, figure));
        return value === null ? '-' : formatNumber(value * factor, digits);
      };
      rows.push([
        policy,
        `${workers.length} of ${kind}`,
        of(({ requests }) => requests, 1, 0),
        of(({ prefillTokens }) => prefillTokens, 1e-3, 0),
        of(({ ttftMs }) => ttftMs.mean, 1e-3, 3),
        of(({ ttftMs }) => ttftMs.p99, 1e-3, 3),
      ]);
    }
  }
  return { columns: workerColumns, rows };
}

/** Workers of each kind, by the kind's name. */
function kindsOf({ workers, slowDown, spec: { fleet } }: RunResult): Map<string, number[]> {
  const kinds = new Map<string, number[]>();
  for (const [worker, { speed, kvTokens }] of workers.each.entries()) {
    const slow = slowDown?.worker === worker ? ', slow for a while' : '';
    const kv = fleet?.kvTokens === undefined ? '' : `, ${formatNumber(kvTokens)} KV tokens`;
    const kind = `speed ${Number(speed.toPrecision(3))}${kv}${slow}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), worker]);
  }
  return kinds;
}

function meanOfWorkers(
  { workers: { each } }: RunResult,
  workers: readonly number[],
  figure: (worker: WorkerFigures) => number | null,
): number | null {
  const known = workers.flatMap((worker) => figure(each[worker]!) ?? []);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value) / known.length;
}

/** A policy has settled once its p99 TTFT is at most this multiple of the steady one. */
export const settledFactor = 1.2;

const slowDownColumns: readonly Column[] = [
  { title: 'policy', align: 'left' },
  { title: 'before', group: 'p99 TTFT, s' },
  { title: 'during', group: 'p99 TTFT, s' },
  { title: 'after', group: 'p99 TTFT, s' },
  { title: 'steady', group: 'p99 TTFT, s' },
  { title: 'settled, s', align: 'left' },
];

export const slowDownNote =
  'Slow-down: steady is the p99 TTFT during it of the same policy with :slow-worker=drained if that was run, else the one before it. ' +
  `Settled: seconds after its start from which on the p99 of all further arrivals until its end is at most ${settledFactor} x steady ` +
  '(of the same arrivals, if drained was run), in the slowest seed.';

function slowDownTable(policies: readonly PolicyRuns[]): ResultTable {
  const rows = policies.map(({ policy, runs }) => {
    const drained = policies.find((other) => other.policy === `${policy}:slow-worker=drained`)?.runs;
    const steady = runs.map((run, seed) => drained?.[seed]?.slowDown?.during.p99 ?? run.slowDown!.before.p99);
    const cell = (value: number | null): string => (value === null ? '-' : formatNumber(value / 1000, 3));
    const p99 = (phase: 'before' | 'during' | 'after'): string =>
      cell(meanOver(runs, ({ slowDown }) => slowDown![phase].p99));
    const settled = runs.map((run, seed) => settledAfterS(run, drained?.[seed] ?? null));
    return [
      policy,
      p99('before'),
      p99('during'),
      p99('after'),
      cell(steady.includes(null) ? null : steady.reduce((sum, value) => sum! + value!, 0)! / steady.length),
      settled.includes(null) ? 'no' : formatNumber(Math.max(...settled.map((afterS) => afterS!))),
    ];
  });
  return { columns: slowDownColumns, rows };
}

/**
 * @param drained the run with the slow worker drained, if there is one
 * @returns null: it had not settled when the worker recovered
 */
export function settledAfterS({ slowDown }: RunResult, drained: RunResult | null): number | null {
  const { before, settling } = slowDown!;
  const settled = settling.find(({ p99Ms }, at) => {
    const steadyMs = drained === null ? before.p99 : drained.slowDown!.settling[at]!.p99Ms;
    return p99Ms !== null && steadyMs !== null && p99Ms <= settledFactor * steadyMs;
  });
  return settled?.afterS ?? null;
}
