// Cells of a comparison: one policy on one workload at one load, relative to the reference and to the best policy there.

import { meanTtftRatio } from './paired-ratio.ts';
import type { PolicyRuns, ReportSection } from './report-section.ts';
import { meanOver } from './result-table.ts';
import type { RunResult } from './run-result.ts';

export interface Cell {
  /** Workload, cluster and load. */
  readonly row: string;
  /** Mean TTFT / that of the reference. */
  readonly ratio: number;
  /** The same for each seed. */
  readonly seedRatios: readonly number[];
  /** Mean TTFT / that of the best policy there. */
  readonly behindBest: number;
  readonly p99Ratio: number | null;
  readonly tpot: Compared | null;
  readonly e2e: Compared | null;
  readonly goodShare: number | null;
  readonly ceilingReached: number | null;
  /** From a trace, whose seeds are not further samples. */
  readonly isRecorded: boolean;
}

export interface Compared {
  /** Ratio to the reference. */
  readonly ratio: number;
  readonly behindBest: number;
}

/** Whether all requests of the section arrive at once. Such rows are summarized apart, since their TTFT differs. */
export function isBurst({ loads }: ReportSection): boolean {
  return loads.every(({ policies }) =>
    policies.every(({ runs }) =>
      runs.every(({ workload }) => workload.ratePerS === null && workload.concurrencyMax === null),
    ),
  );
}

/** References that know what a router cannot are compared, but no policy is measured against them. */
export function isReference(policy: string): boolean {
  return policy.includes(':told=on') || policy.includes(':slow-worker=drained');
}

/** By policy, in order. Null if the reference is not among the policies. */
export function cellsByPolicy(sections: readonly ReportSection[], reference: string): Map<string, Cell[]> | null {
  const names = sections[0]?.loads[0]?.policies.map(({ policy }) => policy) ?? [];
  if (!names.includes(reference)) return null;
  const cells = new Map<string, Cell[]>(names.map((name) => [name, []]));
  for (const { title, loads } of sections) {
    for (const { label, policies } of loads) {
      const row = loads.length > 1 ? `${title} at ${label.split(' ')[0]}` : title;
      const base = policies.find(({ policy }) => policy === reference)!;
      const rivals = policies.filter(({ policy }) => !isReference(policy));
      const best = Math.min(...rivals.map(({ runs }) => meanTtftRatio(runs, base.runs)).filter(Number.isFinite));
      const compare = comparer(base, rivals);
      for (const { policy, runs } of policies) {
        const ratio = meanTtftRatio(runs, base.runs);
        if (!Number.isFinite(ratio)) continue;
        cells.get(policy)!.push({
          row,
          ratio,
          seedRatios: runs.map((run, seed) => meanTtftRatio([run], [base.runs[seed]!])),
          behindBest: ratio / best,
          p99Ratio: compare(runs, ({ measured }) => measured.ttftMs.p99)?.ratio ?? null,
          tpot: compare(runs, ({ measured }) => measured.tpotMs.mean),
          e2e: compare(runs, ({ measured }) => measured.e2eMs.mean),
          goodShare: meanOver(runs, ({ measured }) => measured.goodShare),
          ceilingReached: meanOver(runs, ({ cache }) => cache.ceilingReached),
          isRecorded: runs[0]!.workload.recorded,
        });
      }
    }
  }
  return cells;
}

type Figure = (run: RunResult) => number | null;

function comparer(base: PolicyRuns, rivals: readonly PolicyRuns[]) {
  return (runs: readonly RunResult[], figure: Figure): Compared | null => {
    const own = meanOver(runs, figure);
    const other = meanOver(base.runs, figure);
    const best = Math.min(...rivals.map((one) => meanOver(one.runs, figure) ?? Number.POSITIVE_INFINITY));
    if (own === null || other === null || !(other > 0) || !(best > 0)) return null;
    return { ratio: own / other, behindBest: own / best };
  };
}

/** Null without values. */
export function geoMean(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * 95 % interval of the geometric mean of the cells' ratios, from its spread over the seeds (Student's t). Null for fewer
 * than three seeds, and for traces, whose seeds are not samples.
 */
export function seedInterval(cells: readonly Cell[]): Interval | null {
  const seeds = cells[0]?.seedRatios.length ?? 0;
  if (seeds < 3 || cells.some(({ isRecorded, seedRatios }) => isRecorded || seedRatios.length !== seeds)) return null;
  const logs = Array.from({ length: seeds }, (_, seed) =>
    Math.log(geoMean(cells.map(({ seedRatios }) => seedRatios[seed]!))!),
  );
  const mean = logs.reduce((sum, log) => sum + log) / seeds;
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (seeds - 1);
  const half = studentT(seeds - 1) * Math.sqrt(variance / seeds);
  return Number.isFinite(half) ? { low: Math.exp(mean - half), high: Math.exp(mean + half) } : null;
}

/** 97.5 % quantile of Student's t, from 2 degrees of freedom on: a table, then its usual expansion. */
function studentT(degrees: number): number {
  const table = [4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
  const z = 1.959964;
  return table[degrees - 2] ?? z + (z ** 3 + z) / (4 * degrees);
}
