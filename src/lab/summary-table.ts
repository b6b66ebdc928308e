// A whole comparison in one row a policy: how it stands against the reference over all workloads, and where it is worst.

import { type Column, formatNumber } from '../report/text-table.ts';
import { pairedTtftRatio } from './paired-ratio.ts';
import type { ReportSection } from './report-section.ts';
import { meanOver, type ResultTable } from './result-table.ts';

const columns = (reference: string): readonly Column[] => [
  { title: 'policy', align: 'left' },
  { title: 'geo-mean', group: `mean TTFT / ${reference}` },
  { title: 'best', group: `mean TTFT / ${reference}`, align: 'left' },
  { title: 'worst', group: `mean TTFT / ${reference}`, align: 'left' },
  { title: 'worst / best policy', group: 'mean TTFT', align: 'left' },
  { title: 'good, %' },
  { title: 'hits of ceiling' },
];

/** What one policy did on one workload at one load. */
interface Cell {
  readonly workload: string;
  /** To the reference. */
  readonly ratio: number;
  /** To the policy with the lowest mean TTFT there. */
  readonly behindBest: number;
  readonly goodShare: number | null;
  readonly ceilingReached: number | null;
}

/** @returns null where the reference is not among the policies */
export function summaryTable(sections: readonly ReportSection[], reference: string): ResultTable | null {
  const names = sections[0]?.loads[0]?.policies.map(({ policy }) => policy) ?? [];
  if (!names.includes(reference)) return null;
  const cells = new Map<string, Cell[]>(names.map((name) => [name, []]));
  for (const { title, loads } of sections) {
    for (const { policies } of loads) {
      const base = policies.find(({ policy }) => policy === reference)!;
      const ratios = policies.map(({ runs }) => pairedTtftRatio(runs, base.runs)?.ratio ?? Number.NaN);
      const best = Math.min(...ratios.filter(Number.isFinite));
      for (const [at, { policy, runs }] of policies.entries()) {
        const ratio = ratios[at]!;
        if (!Number.isFinite(ratio)) continue;
        cells.get(policy)!.push({
          workload: title,
          ratio,
          behindBest: ratio / best,
          goodShare: meanOver(runs, ({ measured }) => measured.goodShare),
          ceilingReached: meanOver(runs, ({ cache }) => cache.ceilingReached),
        });
      }
    }
  }
  return { columns: columns(reference), rows: [...cells].map(([policy, ofPolicy]) => row(policy, ofPolicy)) };
}

export const summaryNote =
  'Geo-mean over all rows of the tables above. Worst / best policy: the row on which the policy is furthest behind the best one.';

function row(policy: string, cells: readonly Cell[]): string[] {
  const byRatio = [...cells].sort((a, b) => a.ratio - b.ratio);
  const furthest = [...cells].sort((a, b) => b.behindBest - a.behindBest)[0];
  const best = byRatio[0];
  const worst = byRatio.at(-1);
  if (best === undefined || worst === undefined || furthest === undefined)
    return [policy, '-', '-', '-', '-', '-', '-'];
  return [
    policy,
    formatNumber(Math.exp(mean(cells.map(({ ratio }) => Math.log(ratio)))), 3),
    `${formatNumber(best.ratio, 3)} ${best.workload}`,
    `${formatNumber(worst.ratio, 3)} ${worst.workload}`,
    `${formatNumber(furthest.behindBest, 2)} ${furthest.workload}`,
    formatNumber(mean(known(cells.map(({ goodShare }) => goodShare))) * 100, 1),
    formatNumber(mean(known(cells.map(({ ceilingReached }) => ceilingReached))), 2),
  ];
}

function known(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
