// The report of the gateway bench: a table of routers, and the same figures as JSON with ratios to the yardstick.

import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { formatTable } from '../../src/report/text-table.ts';
import { environment } from '../measure.ts';
import { direct, type Measurement } from './bench-gateway.ts';
import type { TextKind } from './texts.ts';

/** Figures of a router with one text at one number of streams: over all rounds and both shapes of bodies. */
export interface GatewayFigure {
  readonly router: string;
  readonly text: TextKind;
  readonly streams: number;
  readonly failed: number;
  readonly perS: number;
  readonly cpuMsPerRequest: number | null;
  /** Relative to the yardstick in the same run. */
  readonly cpuRatio: number | null;
  readonly residentMb: number | null;
  /** Time added to that of direct connections to the engines. */
  readonly addedTtftP50Ms: number;
  readonly addedTtftP99Ms: number;
}

/** In the order of the measurements. The minimum over the rounds counts, since other work only adds time. */
export function gatewayFigures(measurements: readonly Measurement[], yardstick: string): GatewayFigure[] {
  const groups = groupBy(measurements, ({ router, text, streams }) => `${router}\n${text}\n${streams}`);
  const cpuOf = (group: readonly Measurement[] | undefined): number | null =>
    group === undefined ? null : meanOfShapes(group, ({ cpuMsPerRequest }) => cpuMsPerRequest);
  return [...groups.values()]
    .filter(([first]) => first!.router !== direct)
    .map((group) => {
      const { router, text, streams } = group[0]!;
      const directly = groups.get(`${direct}\n${text}\n${streams}`) ?? [];
      const yardstickCpu = cpuOf(groups.get(`${yardstick}\n${text}\n${streams}`));
      const cpuMsPerRequest = cpuOf(group);
      const added = (of: (one: Measurement) => number): number =>
        meanOfShapes(group, of)! - (meanOfShapes(directly, of) ?? 0);
      return {
        router,
        text,
        streams,
        failed: group.reduce((sum, { failed }) => sum + failed, 0),
        perS: Math.max(...group.map(({ perS }) => perS)),
        cpuMsPerRequest,
        cpuRatio: cpuMsPerRequest === null || yardstickCpu === null ? null : cpuMsPerRequest / yardstickCpu,
        residentMb: meanOfShapes(group, ({ residentMb }) => residentMb),
        addedTtftP50Ms: added(({ ttftP50Ms }) => ttftP50Ms),
        addedTtftP99Ms: added(({ ttftP99Ms }) => ttftP99Ms),
      };
    });
}

/** Mean over the shapes of each shape's minimum over the rounds. */
function meanOfShapes(group: readonly Measurement[], of: (one: Measurement) => number | null): number | null {
  const least = [...groupBy(group, ({ shape }) => shape).values()].map((rounds) =>
    rounds.map(of).reduce((a, b) => (a === null || b === null ? null : Math.min(a, b))),
  );
  if (least.length === 0 || least.includes(null)) return null;
  return least.reduce<number>((sum, value) => sum + value!, 0) / least.length;
}

/** One line per router and text, with its figures at each number of streams. */
export function gatewayTable(figures: readonly GatewayFigure[]): string {
  const rows = [...groupBy(figures, ({ router, text }) => `${router}\n${text}`).values()].map((levels) => {
    const joined = (digits: number, of: (figure: GatewayFigure) => number | null): string =>
      levels.map((figure) => of(figure)?.toFixed(digits) ?? '?').join(' / ');
    return [
      levels[0]!.router,
      levels[0]!.text,
      joined(2, ({ cpuMsPerRequest }) => cpuMsPerRequest),
      joined(2, ({ cpuRatio }) => cpuRatio),
      joined(1, ({ addedTtftP50Ms }) => addedTtftP50Ms),
      joined(0, ({ addedTtftP99Ms }) => addedTtftP99Ms),
      levels.at(-1)!.perS.toFixed(0),
      levels.at(-1)!.residentMb?.toFixed(0) ?? '?',
      String(levels.reduce((sum, { failed }) => sum + failed, 0)),
    ];
  });
  const streams = [...new Set(figures.map((figure) => figure.streams))].join(' / ');
  const titles = ['CPU ms per request', 'x yardstick', 'TTFT added p50 ms', 'p99 ms', 'requests/s', 'MB', 'failed'];
  const columns = [
    { title: 'router', align: 'left' } as const,
    { title: 'text', align: 'left' } as const,
    ...titles.map((title) => ({ title })),
  ];
  const table = formatTable(columns, rows).join('\n');
  return `At ${streams} streams; requests per second and memory at the last.\n\n${table}`;
}

export interface GatewayReport {
  readonly environment: string;
  readonly machine: { readonly cores: number; readonly model: string; readonly kernel: string };
  readonly yardstick: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly figures: readonly GatewayFigure[];
  readonly measurements: readonly Measurement[];
}

export function gatewayReport(
  measurements: readonly Measurement[],
  yardstick: string,
  versions: Readonly<Record<string, string>>,
): GatewayReport {
  const cpus = os.cpus();
  return {
    environment: environment(),
    machine: { cores: cpus.length, model: cpus[0]?.model.trim() ?? 'unknown', kernel: os.release() },
    yardstick,
    versions: { node: process.versions.node, ...versions },
    figures: gatewayFigures(measurements, yardstick),
    measurements,
  };
}

export function writeReport(file: string, report: object): void {
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item)) ?? [];
    group.push(item);
    groups.set(keyOf(item), group);
  }
  return groups;
}
