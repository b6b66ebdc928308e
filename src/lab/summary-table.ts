// Summary table of a comparison: one row per policy, with its mean over all rows and its worst row.

import { type Column, formatNumber } from '../report/text-table.ts';
import type { ReportSection } from './report-section.ts';
import type { ResultTable } from './result-table.ts';
import {
  type Cell,
  cellsByPolicy,
  geoMean,
  type Interval,
  isBurst,
  isReference,
  seedInterval,
} from './summary-cells.ts';

const columns = (reference: string): readonly Column[] => [
  { title: 'policy', align: 'left' },
  { title: 'geo-mean', group: `mean TTFT / ${reference}`, align: 'left' },
  { title: 'best', group: `mean TTFT / ${reference}`, align: 'left' },
  { title: 'worst', group: `mean TTFT / ${reference}`, align: 'left' },
  { title: 'worst / best policy', group: 'mean TTFT', align: 'left' },
  { title: 'geo-mean', group: 'p99 TTFT' },
  { title: 'geo-mean', group: 'TPOT' },
  { title: 'worst / best', group: 'TPOT' },
  { title: 'geo-mean', group: 'E2E' },
  { title: 'worst / best', group: 'E2E' },
  { title: 'good, %' },
  { title: 'hits of ceiling' },
];

/** Summary of one policy over a whole comparison. Null if there is nothing to compare. */
export interface PolicySummary {
  readonly policy: string;
  /** Uses knowledge that a router can't have. */
  readonly isReference: boolean;
  /** Geometric mean of the TTFT ratios to the reference. */
  readonly geoMean: number | null;
  readonly interval: Interval | null;
  /** The row in which the policy is furthest behind the best one, by mean TTFT. */
  readonly furthest: { readonly row: string; readonly behindBest: number } | null;
  /** Largest ratio to the best policy of a row. */
  readonly tpotBehindBest: number | null;
  readonly e2eBehindBest: number | null;
}

/** Scores in the order of the policies. Null if the reference is not among them. */
export function policySummaries(sections: readonly ReportSection[], reference: string): PolicySummary[] | null {
  const cells = cellsByPolicy(sections, reference);
  if (cells === null) return null;
  return [...cells].map(([policy, ofPolicy]) => ({
    policy,
    isReference: isReference(policy),
    geoMean: geoMean(ofPolicy.map(({ ratio }) => ratio)),
    interval: seedInterval(ofPolicy),
    furthest: furthestOf(ofPolicy),
    tpotBehindBest: worst(ofPolicy, ({ tpot }) => tpot?.behindBest),
    e2eBehindBest: worst(ofPolicy, ({ e2e }) => e2e?.behindBest),
  }));
}

/** Sections that are summarized together, under a title. Empty groups are left out. */
export function summaryGroups(
  sections: readonly ReportSection[],
): readonly { readonly title: string; readonly sections: readonly ReportSection[] }[] {
  const rated = sections.filter((section) => !isBurst(section));
  const bursts = sections.filter(isBurst);
  const rows = (list: readonly ReportSection[]): number => list.reduce((sum, { loads }) => sum + loads.length, 0);
  return [
    { title: `all ${rows(rated)} rows with a rate`, sections: rated },
    { title: `all ${rows(bursts)} bursts`, sections: bursts },
  ].filter(({ sections: list }) => rows(list) > 1);
}

/** @returns null if the reference is not among the policies */
export function summaryTable(sections: readonly ReportSection[], reference: string): ResultTable | null {
  const cells = cellsByPolicy(sections, reference);
  if (cells === null) return null;
  return { columns: columns(reference), rows: [...cells].map(([policy, ofPolicy]) => row(policy, ofPolicy)) };
}

export const summaryNote =
  'Summary: geo-mean over all rows (a workload on a cluster at a load), with a 95 % interval over the seeds if there are three or more. ' +
  'Worst / best policy: where the policy is furthest behind the best one of that row; rows of told=on and slow-worker=drained are references, never the best. ' +
  'p99 TTFT, TPOT and E2E: relative to the same.';

function row(policy: string, cells: readonly Cell[]): string[] {
  const byRatio = [...cells].sort((a, b) => a.ratio - b.ratio);
  const [best, last, furthest] = [byRatio[0], byRatio.at(-1), furthestOf(cells)];
  if (best === undefined || last === undefined || furthest === null) {
    return [policy, ...new Array<string>(columns('').length - 1).fill('-')];
  }
  return [
    policy,
    `${formatNumber(geoMean(cells.map(({ ratio }) => ratio))!, 3)}${intervalText(seedInterval(cells))}`,
    `${formatNumber(best.ratio, 3)} ${best.row}`,
    `${formatNumber(last.ratio, 3)} ${last.row}`,
    `${formatNumber(furthest.behindBest, 2)} ${furthest.row}`,
    geoCell(cells, ({ p99Ratio }) => p99Ratio),
    geoCell(cells, ({ tpot }) => tpot?.ratio),
    number(
      worst(cells, ({ tpot }) => tpot?.behindBest),
      2,
    ),
    geoCell(cells, ({ e2e }) => e2e?.ratio),
    number(
      worst(cells, ({ e2e }) => e2e?.behindBest),
      2,
    ),
    meanCell(cells, ({ goodShare }) => goodShare, 100, 1),
    meanCell(cells, ({ ceilingReached }) => ceilingReached, 1, 2),
  ];
}

export function intervalText(interval: Interval | null): string {
  return interval === null ? '' : ` [${formatNumber(interval.low, 3)}, ${formatNumber(interval.high, 3)}]`;
}

type Figure = (cell: Cell) => number | null | undefined;

function furthestOf(cells: readonly Cell[]): PolicySummary['furthest'] {
  return cells.reduce<Cell | null>(
    (far, cell) => (far === null || cell.behindBest > far.behindBest ? cell : far),
    null,
  );
}

function worst(cells: readonly Cell[], of: Figure): number | null {
  const found = known(cells, of);
  return found.length === 0 ? null : Math.max(...found);
}

function geoCell(cells: readonly Cell[], of: Figure): string {
  return number(geoMean(known(cells, of)), 3);
}

/** Mean of the known values as a cell. A dash if none is known. */
function meanCell(cells: readonly Cell[], of: Figure, factor: number, digits: number): string {
  const found = known(cells, of);
  return number(
    found.length === 0 ? null : (found.reduce((sum, value) => sum + value) / found.length) * factor,
    digits,
  );
}

function number(value: number | null, digits: number): string {
  return value === null ? '-' : formatNumber(value, digits);
}

function known(cells: readonly Cell[], of: Figure): number[] {
  return cells.flatMap((cell) => of(cell) ?? []);
}
