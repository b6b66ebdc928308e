// The fleet as lines of text for a terminal of a given width.

import type { Snapshot, WorkerState } from '../gateway/page/page-data.ts';
import { formatNumber } from '../report/text-table.ts';

export interface TopLayout {
  readonly columns: number;
  /** Lines that fit; null: all. */
  readonly rows: number | null;
  readonly colour: boolean;
}

interface Column {
  readonly title: string;
  /** Columns are left out from the highest rank on until the rest fits. */
  readonly rank: number;
  readonly isText?: boolean;
  readonly of: (worker: WorkerState) => string;
}

const barWidth = 10;
const gap = 2;

const workerColumns: readonly Column[] = [
  { title: 'worker', rank: 0, isText: true, of: ({ id }) => id.replace(/^https?:\/\//, '') },
  { title: 'state', rank: 1, isText: true, of: stateOf },
  { title: 'KV in use', rank: 2, isText: true, of: usageOf },
  { title: 'running', rank: 3, of: ({ load }) => number(load?.runningRequests) },
  { title: 'prefill', rank: 4, of: ({ load }) => number(load?.activePrefillTokens) },
  { title: 'req/s', rank: 5, of: ({ rates }) => number(rates?.requestsPerS, 1) },
  { title: 'TTFT p50', rank: 6, of: ({ rates }) => time(rates?.ttftP50Ms) },
  { title: 'ITL', rank: 7, of: ({ rates }) => time(rates?.itlMs) },
  { title: 'hits', rank: 8, of: ({ rates }) => share(rates?.prefixHitRate) },
  { title: 'view', rank: 9, isText: true, of: ({ trust }) => trust.kind },
  { title: 'slow', rank: 10, of: ({ speed }) => (speed === null ? '-' : `${speed.slowness.toFixed(1)}x`) },
];

/** The most loaded worker first. */
export function topLines(snapshot: Snapshot, layout: TopLayout): string[] {
  const { fleet, router, pools } = snapshot;
  const waiting = pools.reduce((sum, pool) => sum + pool.waiting, 0);
  const head = [
    `kvoyant ${router.version}  ${fleet.ready} of ${fleet.workers} workers ready  policy ${router.policy}`,
    `${formatNumber(fleet.requestsPerS, 1)} requests/s  ${fleet.runningRequests} running  ${waiting} waiting  ` +
      `TTFT p50 ${time(fleet.ttftP50Ms)}  hits ${share(fleet.prefixHitRate)}  imbalance ${imbalance(fleet.imbalance)}`,
    `Can its view be trusted? ${fleet.trust.text}`,
    '',
  ].map((line) => cut(line, layout.columns));
  const workers = [...snapshot.workers].sort((a, b) => usage(b) - usage(a) || (a.id < b.id ? -1 : 1));
  const room = layout.rows === null ? workers.length : Math.max(1, layout.rows - head.length - 2);
  const shown = workers.slice(0, room);
  const rest = workers.length - shown.length;
  const lines = [...head, ...table(shown, layout)];
  return rest === 0 ? lines : [...lines, cut(`... and ${rest} more, less loaded`, layout.columns)];
}

function table(workers: readonly WorkerState[], { columns, colour }: TopLayout): string[] {
  const all = workerColumns.map((column) => {
    const cells = workers.map(column.of);
    return { column, cells, width: Math.max(column.title.length, ...cells.map((cell) => cell.length)) };
  });
  const kept = [...all];
  const total = (): number => kept.reduce((sum, { width }) => sum + width + gap, -gap);
  while (kept.length > 1 && total() > columns) kept.pop();
  const pad = (text: string, width: number, isText: boolean | undefined): string =>
    isText === true ? text.padEnd(width) : text.padStart(width);
  const titles = kept.map(({ column, width }) => pad(column.title, width, column.isText)).join('  ');
  const rows = workers.map((worker, row) => {
    const line = kept.map(({ column, cells, width }) => pad(cells[row]!, width, column.isText)).join('  ');
    return paint(cut(line.trimEnd(), columns), worker, colour);
  });
  return [cut(titles.trimEnd(), columns), ...rows];
}

function stateOf({ health, draining, drained, leaving }: WorkerState): string {
  if (leaving) return 'leaving';
  if (health !== 'ready') return health;
  return drained ? 'drained' : draining ? 'draining' : 'ready';
}

function usageOf(worker: WorkerState): string {
  if (worker.load === null) return '-';
  const filled = Math.min(barWidth, Math.round(usage(worker) * barWidth));
  return `${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)} ${share(usage(worker)).padStart(4)}`;
}

function usage({ load }: WorkerState): number {
  return load === null ? -1 : (load.activeBlocks + load.otherRoutersBlocks) / load.capacityBlocks;
}

function number(value: number | null | undefined, digits = 0): string {
  return value === null || value === undefined ? '-' : formatNumber(value, digits);
}

function share(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : `${Math.round(100 * value)}%`;
}

function imbalance(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(2)}x`;
}

function time(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '-';
  return ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

function cut(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`;
}

const red = '\u001b[31m';
const yellow = '\u001b[33m';
const plain = '\u001b[0m';

function paint(line: string, { health, draining, trust, findings }: WorkerState, colour: boolean): string {
  if (!colour) return line;
  const isBad = health === 'down' || health === 'refused' || findings.some(({ severity }) => severity === 'bad');
  if (isBad) return `${red}${line}${plain}`;
  const isWarned = health !== 'ready' || draining || trust.kind === 'degraded';
  return isWarned ? `${yellow}${line}${plain}` : line;
}
