// The report of `npm run bench`: figures as ratios to a yardstick of the same run, and their comparison with a baseline.

import os from 'node:os';
import { formatTable } from '../src/report/text-table.ts';
import { environment, type Quantiles } from './measure.ts';

export interface BenchFigure {
  readonly name: string;
  readonly unit: string;
  readonly p50: number;
  /** Null for a single value. */
  readonly p99: number | null;
  /** `p50` in units of the group's yardstick, which was measured in the same minute; null if it could not be. */
  readonly ratio: number | null;
}

/** Figures with one yardstick. */
export interface BenchGroup {
  readonly name: string;
  readonly yardstick: string;
  readonly figures: readonly BenchFigure[];
}

export interface BenchReport {
  readonly environment: string;
  readonly machine: { readonly cores: number; readonly model: string; readonly kernel: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly groups: readonly BenchGroup[];
}

export function benchReport(groups: readonly BenchGroup[]): BenchReport {
  const cpus = os.cpus();
  return {
    environment: environment(),
    machine: { cores: cpus.length, model: cpus[0]?.model.trim() ?? 'unknown', kernel: os.release() },
    versions: { node: process.versions.node, v8: process.versions.v8 },
    groups,
  };
}

/** @param yardstickUs in microseconds, as the figure */
export function timed(name: string, { p50, p99 }: Quantiles, yardstickUs: number): BenchFigure {
  return { name, unit: 'us', p50, p99, ratio: p50 / yardstickUs };
}

/**
 * One table per group. Only ratios are compared: times belong to a machine and to what else it did. The last column is
 * 1 where nothing changed, and smaller where the figure became better.
 */
export function benchTables({ groups }: BenchReport, baseline: BenchReport | null): string {
  const ratios = new Map(
    baseline?.groups.flatMap((group) => group.figures.map((one) => [keyOf(group, one), one.ratio])),
  );
  return groups
    .map((group) => {
      const rows = group.figures.map((figure) => {
        const before = ratios.get(keyOf(group, figure)) ?? null;
        const change = before === null || figure.ratio === null ? null : figure.ratio / before;
        const cells = [figure.p50, figure.p99, figure.ratio, before, change];
        return [`${figure.name}, ${figure.unit}`, ...cells.map(cellOf)];
      });
      const titles = ['p50', 'p99', 'x yardstick', 'baseline', 'now / baseline'];
      const columns = [{ title: group.name, align: 'left' } as const, ...titles.map((title) => ({ title }))];
      return `Yardstick: ${group.yardstick}\n${formatTable(columns, rows).join('\n')}`;
    })
    .join('\n\n');
}

function keyOf({ name }: BenchGroup, figure: BenchFigure): string {
  return `${name}\n${figure.name}`;
}

function cellOf(value: number | null): string {
  if (value === null) return '';
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
