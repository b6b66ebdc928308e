// The whole demo: all rows of all workloads, then a gateway that keeps running.

import type { Progress } from '../report/progress.ts';
import { formatNumber } from '../report/text-table.ts';
import { wrapText } from '../report/wrap-text.ts';
import { loadTokenizer } from '../tokens/load-tokenizer.ts';
import type { TextCodec } from '../trace/text-source.ts';
import { loadsAreZero } from './demo-gateway.ts';
import { machineWarning } from './demo-machine.ts';
import { columnNotes, type RowJson, resultTable, rowJson } from './demo-report.ts';
import { type RowResult, runRow } from './demo-run.ts';
import { serveOn } from './demo-serving.ts';
import { demoWorkloads, noteColumns, notesOf, type RowName, rowFlags, type WorkloadName } from './demo-workloads.ts';

export interface DemoOptions {
  /** The kvoyant program, with the commands `sim-worker` and `serve`. */
  readonly script: string;
  readonly workloads: readonly WorkloadName[];
  /** Default: those of each workload. */
  readonly rows?: readonly RowName[];
  readonly workers: number;
  readonly speedup: number;
  readonly seed: number;
  /** Share of each workload's requests. */
  readonly scale: number;
  readonly serveOn: boolean;
  /** Whether light traffic goes on while it serves. */
  readonly traffic: boolean;
  readonly port: number;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
  readonly progress: Progress;
  readonly writeJson: (figures: DemoFigures) => Promise<void>;
}

export type DemoFigures = Partial<Record<WorkloadName, Partial<Record<RowName, RowJson>>>>;

/** @returns the exit code: 1 if a request failed or a load was not zero at the end */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { print, progress } = options;
  progress.note(intro(options));
  const codec = await loadTokenizer('builtin');
  const figures: DemoFigures = {};
  const problems: string[] = [];
  try {
    for (const name of options.workloads) {
      const rows = await runWorkload(name, codec, options);
      figures[name] = Object.fromEntries([...rows].map(([row, result]) => [row, rowJson(result)]));
      for (const [row, result] of rows) problems.push(...rowProblems(result).map((text) => `${name}, ${row}: ${text}`));
      const notes = notesOf(demoWorkloads[name], [...rows.keys()]);
      const warning = machineWarning(new Map([...rows].map(([row, { machine }]) => [row, machine])));
      const warningLines = warning === null ? [] : ['', ...wrapText(warning, noteColumns, '  ')];
      const table = resultTable(rows);
      for (const line of ['', title(name, options), '', ...table, ...warningLines, '', ...notes]) print(line);
    }
  } finally {
    await codec.close();
  }
  if (options.workloads.length > 0) for (const line of ['', ...columnNotes, speedLine(options)]) print(line);
  for (const problem of problems) print(`PROBLEM  ${problem}`);
  await options.writeJson(figures);
  if (options.serveOn) await serveOn(options);
  return problems.length === 0 ? 0 : 1;
}

async function runWorkload(
  name: WorkloadName,
  codec: TextCodec,
  options: DemoOptions,
): Promise<Map<RowName, RowResult>> {
  const { progress } = options;
  const workload = demoWorkloads[name];
  progress.update(`${name}: writing prompts`);
  const requests = await workload.generate(codec, options.seed, options.scale);
  const rows = options.rows ?? (options.workloads.length === 1 ? workload.rows : workload.tourRows);
  const results = new Map<RowName, RowResult>();
  for (const [at, row] of rows.entries()) {
    const label = `${name}, ${row} (${at + 1} of ${rows.length})`;
    progress.update(`${label}: starting ${options.workers} engines and the gateway`);
    const result = await runRow({
      ...options,
      port: 0,
      gatewayFlags: rowFlags[row],
      requests,
      onProgress: ({ done, failed, sent, total }) =>
        progress.update(`${label}: ${sent} sent, ${done} of ${total} done${failed > 0 ? `, ${failed} FAILED` : ''}`),
    });
    results.set(row, result);
    const { run } = result;
    const seconds = formatNumber(run.makespanMs / 1000, 1);
    progress.note(`${label}: ${run.requests - run.failed} of ${run.requests} requests in ${seconds} s`);
  }
  return results;
}

function rowProblems({ problems, loadsAfter }: RowResult): string[] {
  if (loadsAreZero(loadsAfter)) return [...problems];
  return [...problems, `loads are not zero at rest: ${JSON.stringify(loadsAfter.workers)}`];
}

function intro({ workers }: DemoOptions): string {
  return `kvoyant: ${workers} simulated engines (one L40S with an 8B model each) behind a real gateway, over HTTP`;
}

function title(name: WorkloadName, { speedup }: DemoOptions): string {
  return speedup === 1 ? demoWorkloads[name].title : `${demoWorkloads[name].title}; at ${speedup} times real speed`;
}

function speedLine({ speedup, seed }: DemoOptions): string {
  const speed = speedup === 1 ? 'in real time' : `${speedup} times as fast as real ones, arrivals too`;
  return `The simulated engines run ${speed}; everything else is real. Seed ${seed}.`;
}
