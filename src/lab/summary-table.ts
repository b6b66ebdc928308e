// Summary table of a comparison: one row per policy, with its mean over all workloads and its worst workload.

import { type Column, formatNumber } from '../report/text-table.ts';
import { meanTtftRatio } from './paired-ratio.ts';
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

/** Result of one policy on one workload at one load. */
interface Cell {
  readonly workload: string;
  /** Mean TTFT / that of the reference. */
  readonly ratio: number;
  /** Mean TTFT / that of the best policy there. */
  readonly behindBest: number;
  readonly goodShare: number | null;
  readonly ceilingReached: number | null;
}

/** Score of one policy over a whole comparison. Null if there is nothing to compare. */
export interface PolicyScore {
  readonly policy: string;
  /** Geometric mean of the TTFT ratios to the reference. */
  readonly geoMean: number | null;
  /** Largest ratio to the best policy of a row. */
  readonly worstBehindBest: number | null;
}

/** Scores in the order of the policies. Null if the reference is not among them. */
export function policyScores(sections: readonly ReportSection[], reference: string): PolicyScore[] | null {
  const cells = cellsByPolicy(sections, reference);
  if (cells === null) return null;
  return [...cells].map(([policy, ofPolicy]) => {
    const isKnown = ofPolicy.length > 0;
    return {
      policy,
      geoMean: isKnown ? geoMean(ofPolicy) : null,
      worstBehindBest: isKnown ? Math.max(...ofPolicy.map(({ behindBest }) => behindBest)) : null,
    };
  });
}

/** @returns null if the reference is not among the policies */
export function summaryTable(sections: readonly ReportSection[], reference: string): ResultTable | null {
  const cells = cellsByPolicy(sections, reference);
  if (cells === null) return null;
  return { columns: columns(reference), rows: [...cells].map(([policy, ofPolicy]) => row(policy, ofPolicy)) };
}

function cellsByPolicy(sections: readonly ReportSection[], reference: string): Map<string, Cell[]> | null {
  const names = sections[0]?.loads[0]?.policies.map(({ policy }) => policy) ?? [];
  if (!names.includes(reference)) return null;
  const cells = new Map<string, Cell[]>(names.map((name) => [name, []]));
  for (const { title, loads } of sections) {
    for (const { policies } of loads) {
      const base = policies.find(({ policy }) => policy === reference)!;
      const ratios = policies.map(({ runs }) => meanTtftRatio(runs, base.runs));
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
  return cells;
}

export const summaryNote =
  'All workloads: geo-mean over all workloads and loads. Worst / best policy: where the policy is furthest behind the best one.';

function row(policy: string, cells: readonly Cell[]): string[] {
  const byRatio = [...cells].sort((a, b) => a.ratio - b.ratio);
  const furthest = [...cells].sort((a, b) => b.behindBest - a.behindBest)[0];
  const best = byRatio[0];
  const worst = byRatio.at(-1);
  if (best === undefined || worst === undefined || furthest === undefined)
    return [policy, '-', '-', '-', '-', '-', '-'];
  return [
    policy,
    formatNumber(geoMean(cells), 3),
    `${formatNumber(best.ratio, 3)} ${best.workload}`,
    `${formatNumber(worst.ratio, 3)} ${worst.workload}`,
    `${formatNumber(furthest.behindBest, 2)} ${furthest.workload}`,
    meanCell(
      cells.map(({ goodShare }) => goodShare),
      100,
      1,
    ),
    meanCell(
      cells.map(({ ceilingReached }) => ceilingReached),
      1,
      2,
    ),
  ];
}

const geoMean = (cells: readonly Cell[]): number => Math.exp(mean(cells.map(({ ratio }) => Math.log(ratio))));

/** Mean of the known values as a cell. A dash if none is known. */
function meanCell(values: readonly (number | null)[], factor: number, digits: number): string {
  const found = known(values);
  return found.length === 0 ? '-' : formatNumber(mean(found) * factor, digits);
}

function known(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
