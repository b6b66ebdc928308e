// `kvoyant lab paper`: the three experiments of Dynamo's PR #1731, and workloads on which policies differ more.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import {
  hitRatePlot,
  type PolicyRuns,
  parsePolicySpec,
  type RunResult,
  resultTable,
  tableNotes,
  toJson,
  ttftQuantilePlot,
} from '../lab/index.ts';
import { findingOf } from '../report/finding.ts';
import { linePlot, type Series } from '../report/svg-plot.ts';
import { formatNumber, formatTable } from '../report/text-table.ts';
import { addClusterFlags, type ClusterFlags, runSpec } from './lab-cluster-flags.ts';
import { sayingErrors } from './lab-error.ts';
import {
  addExperimentFlags,
  type Experiment,
  type ExperimentFlags,
  mapWidth,
  withExperiment,
} from './lab-experiment.ts';
import { integer, workloadSpec } from './lab-flags.ts';
import { type Arrivals, buildWorkload, findWorkload } from './lab-workload.ts';

interface Flags extends ClusterFlags, ExperimentFlags {
  readonly plots: string;
  readonly seed: number;
  readonly requests: number;
  readonly mooncake?: string;
}

const policies: readonly string[] = [
  'round-robin',
  'kv:form=1731:temperature=0.5',
  'kv:form=1731',
  'dynamo',
  'lmetric',
  'sglang-cache-aware',
  'kv',
];

const concurrencies: readonly number[] = [8, 16, 32, 64, 96, 128, 192];
const blockSizes: readonly number[] = [64, 16];

const experiments: readonly { readonly workload: string; readonly what: string }[] = [
  { workload: 'pr1731-fixed', what: 'ISL 7,000, OSL 100' },
  { workload: 'pr1731-isl', what: 'ISL varied' },
  { workload: 'pr1731-osl', what: 'OSL varied' },
];

interface Contrast {
  readonly workload: string;
  readonly arrivals: Arrivals;
  readonly policies: readonly string[];
}

/** Bursts as they are, and Zipf near the capacity of round robin. */
const contrasts: readonly Contrast[] = [
  { workload: 'gsp-64x16', arrivals: { kind: 'own' }, policies },
  { workload: 'gsp-zipf', arrivals: { kind: 'own' }, policies },
  { workload: 'gsp-4x256', arrivals: { kind: 'own' }, policies },
  { workload: 'gsp-1x1024', arrivals: { kind: 'own' }, policies },
  { workload: 'zipf', arrivals: { kind: 'rate', perS: 22 }, policies },
];

/** Milliseconds between reading the loads and booking, for the PR's claim that both belong in one step. */
const bookDelaysMs: readonly number[] = [0, 1, 5, 20, 100];
const delayedPolicies = bookDelaysMs.map((delayMs) => (delayMs === 0 ? 'kv' : `kv:book-delay-ms=${delayMs}`));

const delayed: readonly Contrast[] = [
  { workload: 'gsp-64x16', arrivals: { kind: 'own' }, policies: delayedPolicies },
  { workload: 'pr1731-fixed', arrivals: { kind: 'rate', perS: 16 }, policies: delayedPolicies },
  { workload: 'zipf', arrivals: { kind: 'rate', perS: 26 }, policies: delayedPolicies },
];

export function labPaperCommand(): Command {
  const command = new Command('paper')
    .description(
      'the three experiments of PR #1731 over a sweep of the concurrency, and workloads where policies differ',
    )
    .option('--plots <folder>', 'folder for the SVG files', 'docs/plots')
    .option('--requests <n>', 'requests of each experiment', integer(100, 1e6), 1500)
    .option('--seed <n>', 'seed of workloads and policies', integer(0, 4_294_967_295), 1)
    .option('--mooncake <file>', "Mooncake's conversation trace, as one more workload on which they differ");
  addExperimentFlags(addClusterFlags(command), 'lab-results');
  return command.action(sayingErrors(command, paper));
}

async function paper(flags: Flags): Promise<void> {
  if (flags.mooncake !== undefined)
    await buildWorkload(workloadSpec(await findWorkload(flags.mooncake), asShipped, 1, { kind: 'own' }));
  runSpec(flags, parsePolicySpec(policies[0]!), flags.seed, undefined);
  await mkdir(flags.plots, { recursive: true });
  await withExperiment(flags, async (experiment) => {
    const mooncake: readonly Contrast[] =
      flags.mooncake === undefined ? [] : [{ workload: flags.mooncake, arrivals: { kind: 'own' }, policies }];
    const shown = [...contrasts, ...mooncake];
    const sweeps = blockSizes.flatMap((blockSize) => experiments.map((one) => ({ ...one, blockSize })));
    const jobsOf = (list: readonly Contrast[]): number => list.reduce((sum, one) => sum + one.policies.length, 0);
    experiment.progress.expect(sweeps.length * concurrencies.length * policies.length + jobsOf([...shown, ...delayed]));
    const outcomes = await mapWidth(sweeps, experiment.width, (sweep) => runSweep(sweep, flags, experiment));
    const runAll = (list: readonly Contrast[]): Promise<PolicyRuns[][]> =>
      mapWidth(list, experiment.width, (one) => runContrast(one, flags, experiment));
    const others = await runAll(shown);
    const late = await runAll(delayed);
    experiment.progress.clear();
    for (const [at, sweep] of sweeps.entries()) await showSweep(sweep, outcomes[at]!, flags);
    console.log(sameEverywhere);
    for (const runs of others) await showContrast(runs, flags);
    console.log(oneStep);
    for (const runs of late) printRuns(runs);
    for (const note of tableNotes) console.log(note);
    console.log(`plots: ${flags.plots}`);
  });
}

const sameEverywhere = [
  '',
  'In these three experiments all ten prefixes (35,000 tokens) fit the cache of every worker, so that after a moment',
  'every policy finds every prefix everywhere: hit rates and throughput differ by a few per cent, and TTFT by how evenly',
  'prefills are spread, at which round robin may be the best. What follows are workloads on which the choice of the',
  'worker decides.',
].join('\n');

const oneStep = [
  '',
  'What choosing and booking in one step is worth: the loads are read, and the request is booked (and sent) so many',
  'milliseconds later. TTFT contains the delay itself; what goes beyond it is the price of stale loads.',
].join('\n');

interface Sweep {
  readonly workload: string;
  readonly what: string;
  readonly blockSize: number;
}

/** @returns results by concurrency, then by policy */
async function runSweep(sweep: Sweep, flags: Flags, experiment: Experiment): Promise<RunResult[][]> {
  const found = await findWorkload(sweep.workload);
  return await mapWidth(concurrencies, concurrencies.length, async (concurrency) => {
    const spec = workloadSpec(found, { ...asShipped, requests: flags.requests }, flags.seed, {
      kind: 'closed-loop',
      concurrency,
    });
    return await Promise.all(
      policies.map((policy) => {
        const run = runSpec({ ...flags, blockSize: sweep.blockSize }, parsePolicySpec(policy), flags.seed, undefined);
        return experiment.execute(spec, { kind: 'run', spec: toJson(run), speed: 1 });
      }),
    );
  });
}

async function runContrast(
  { workload, arrivals, policies: compared }: Contrast,
  flags: Flags,
  experiment: Experiment,
): Promise<PolicyRuns[]> {
  const found = await findWorkload(workload);
  const spec = workloadSpec(found, asShipped, flags.seed, arrivals);
  const { kvTokensPerWorker } = await buildWorkload(spec);
  const runs = await Promise.all(
    compared.map((policy) => {
      const run = runSpec(flags, parsePolicySpec(policy), flags.seed, kvTokensPerWorker);
      return experiment.execute(spec, { kind: 'run', spec: toJson(run), speed: 1 });
    }),
  );
  return compared.map((policy, at) => ({ policy, runs: [runs[at]!] }));
}

async function showSweep({ workload, what, blockSize }: Sweep, outcome: RunResult[][], flags: Flags): Promise<void> {
  for (const [at, concurrency] of concurrencies.entries()) {
    if (concurrency !== 64 && concurrency !== 128) continue;
    console.log(`\n${workload} (${what}), block ${blockSize}, ${concurrency} requests in flight`);
    const { columns, rows } = resultTable(
      policies.map((policy, of) => ({ policy, runs: [outcome[at]![of]!] })),
      'round-robin',
    );
    for (const line of formatTable(columns, rows)) console.log(line);
  }
  const series = (of: (run: RunResult) => number | null): Series[] =>
    policies.map((policy, at) => ({
      name: policy,
      points: concurrencies.map((concurrency, row) => [concurrency, of(outcome[row]![at]!) ?? Number.NaN] as const),
    }));
  const most = concurrencies.at(-1)!;
  const finding = (what: string, lines: readonly Series[], unit: string): string => {
    const last = lines.map(({ name, points }) => ({ name, value: points.at(-1)![1] }));
    return findingOf(`${what} at ${most} in flight`, last, (value) => `${formatNumber(value, 2)} ${unit}`, 'lower');
  };
  const ttft = series(({ measured }) => (measured.ttftMs.mean === null ? null : measured.ttftMs.mean / 1000));
  const itl = series(({ measured }) => measured.itlMs.mean);
  const common = { xLabel: 'requests in flight', marks: true };
  await save(
    flags,
    `${workload}-block-${blockSize}-ttft`,
    linePlot({
      ...common,
      title: finding('mean TTFT', ttft, 's'),
      subtitle: `${what}, block ${blockSize}`,
      yLabel: 'mean TTFT, s',
      series: ttft,
    }),
  );
  await save(
    flags,
    `${workload}-block-${blockSize}-itl`,
    linePlot({
      ...common,
      title: finding('mean ITL', itl, 'ms'),
      subtitle: `${what}, block ${blockSize}`,
      yLabel: 'mean ITL, ms',
      series: itl,
    }),
  );
}

function printRuns(runs: readonly PolicyRuns[]): void {
  const { workload } = runs[0]!.runs[0]!;
  const rate = workload.ratePerS === null ? 'all requests at once' : `${workload.ratePerS.toFixed(1)} req/s`;
  console.log(`\n${workload.name}: ${rate}`);
  const { columns, rows } = resultTable(runs, runs[0]!.policy);
  for (const line of formatTable(columns, rows)) console.log(line);
}

async function showContrast(runs: readonly PolicyRuns[], flags: Flags): Promise<void> {
  printRuns(runs);
  const { workload } = runs[0]!.runs[0]!;
  const file = workload.name.replace(/[^a-zA-Z0-9]+/g, '-');
  await save(flags, `${file}-ttft`, ttftQuantilePlot(workload.name, runs));
  await save(flags, `${file}-hit-rate`, hitRatePlot(workload.name, runs));
}

async function save({ plots }: Flags, name: string, svg: string): Promise<void> {
  await writeFile(join(plots, `${name}.svg`), `${svg}\n`);
}

const asShipped = { jitterMs: 0, tokenizer: 'builtin' } as const;
