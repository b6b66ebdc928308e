// `kvoyant lab capacity`: the highest rate at which each policy meets the SLO, by bisection.

import { Command } from 'commander';
import type { PolicySpec } from '../lab/index.ts';
import { htmlFigure, htmlHeading, htmlPage, htmlParagraph, htmlTable } from '../report/html-page.ts';
import { linePlot } from '../report/svg-plot.ts';
import { type Column, formatNumber, formatTable } from '../report/text-table.ts';
import { type Capacity, capacityOf, goodShareMin, probesExpected } from './lab-capacity-of.ts';
import { LabError, sayingErrors } from './lab-error.ts';
import {
  addExperimentFlags,
  type Experiment,
  type ExperimentFlags,
  mapWidth,
  withExperiment,
} from './lab-experiment.ts';
import {
  addClusterFlags,
  addTokenizerFlag,
  addWorkloadFlags,
  type ClusterFlags,
  integer,
  list,
  policyOption,
  runSpec,
  type TokenizerFlag,
  type WorkloadFlags,
  workloadSpec,
} from './lab-flags.ts';
import { buildWorkload, findWorkload, ownRatePerS, type WorkloadSpec } from './lab-workload.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag, ExperimentFlags {
  readonly workloads: readonly string[];
  readonly policies: readonly PolicySpec[];
  readonly seeds: number;
}

/** One policy on one workload with one seed. */
interface Found {
  readonly workload: string;
  readonly policy: string;
  readonly seed: number;
  /** Of the workload's own arrivals. */
  readonly ownRatePerS: number;
  readonly capacity: Capacity;
}

export function labCapacityCommand(): Command {
  const command = new Command('capacity')
    .description(`find the highest rate at which ${goodShareMin * 100} % of the requests are within the SLO`)
    .requiredOption('--workloads <list>', 'shipped workloads and trace files', list)
    .addOption(policyOption('--policies <list>', 'as in lab run --policy', ['round-robin', 'kv']))
    .option('--seeds <n>', 'repetitions with seeds 1 to n', integer(1, 1000), 3);
  addExperimentFlags(addTokenizerFlag(addWorkloadFlags(addClusterFlags(command))), 'lab-results');
  return command.action(sayingErrors(command, capacity));
}

async function capacity(flags: Flags): Promise<void> {
  await withExperiment(flags, async (experiment) => {
    const found = await findAll(flags, experiment);
    experiment.progress.clear();
    const html: string[] = [];
    for (const workload of new Set(found.map((one) => one.workload))) {
      const ours = found.filter((one) => one.workload === workload);
      const { columns, rows } = capacityTable(ours, flags.policies);
      console.log(`\n${workload}`);
      for (const line of formatTable(columns, rows)) console.log(line);
      html.push(
        htmlHeading(workload),
        htmlTable(columns, rows),
        htmlFigure(probesPlot(workload, ours, flags.policies)),
      );
    }
    console.log(`\n${note}`);
    const json = await experiment.folder.write('capacity.json', `${JSON.stringify({ capacities: found }, null, 1)}\n`);
    const page = htmlPage('kvoyant lab capacity', [htmlParagraph(note, true), ...html]);
    console.log(`${json}\n${await experiment.folder.write('capacity.html', page)}`);
  });
}

const note =
  'Capacity: mean over the seeds, known to 1 %. Of bound: of the rate at which the work exceeds the time with every hit ' +
  'of an infinite cache. Ratios are geometric means of the ratios on the same arrivals.';

async function findAll(flags: Flags, experiment: Experiment): Promise<Found[]> {
  const pairs: WorkloadSpec[] = [];
  for (const name of flags.workloads) {
    const found = await findWorkload(name);
    for (let seed = 1; seed <= flags.seeds; seed++) pairs.push(workloadSpec(found, flags, seed, { kind: 'own' }));
  }
  experiment.progress.expect(pairs.length * flags.policies.length * probesExpected);
  const found = await mapWidth(pairs, experiment.width, async (pair) => {
    const workload = await buildWorkload(pair);
    const rate = ownRatePerS(workload);
    if (rate === null) throw new LabError('no-rate', `workload ${pair.name}: all requests arrive at once`);
    return await Promise.all(
      flags.policies.map(async (policy): Promise<Found> => {
        const spec = runSpec(flags, policy, pair.seed, workload.kvTokensPerWorker);
        const result = await capacityOf(experiment, workload, pair, spec);
        return { workload: pair.name, policy: policy.text, seed: pair.seed, ownRatePerS: rate, capacity: result! };
      }),
    );
  });
  return found.flat();
}

const capacityColumns = (reference: string): readonly Column[] => [
  { title: 'policy', align: 'left' },
  { title: 'capacity, req/s' },
  { title: 'x own rate' },
  { title: 'of bound' },
  { title: `/ ${reference}` },
];

function capacityTable(
  found: readonly Found[],
  policies: readonly PolicySpec[],
): { columns: readonly Column[]; rows: string[][] } {
  const ofPolicy = (text: string): Found[] => found.filter(({ policy }) => policy === text);
  const reference = policies[0]!.text;
  const base = ofPolicy(reference);
  return {
    columns: capacityColumns(reference),
    rows: policies.map(({ text }) => {
      const ours = ofPolicy(text);
      const ratios = ours.map(({ capacity: { speed } }, at) => speed / base[at]!.capacity.speed);
      const ratio = Math.exp(mean(ratios.map(Math.log)));
      return [
        text,
        formatNumber(mean(ours.map(({ capacity: { speed }, ownRatePerS: rate }) => speed * rate)), 2),
        formatNumber(mean(ours.map(({ capacity: { speed } }) => speed)), 3),
        formatNumber(mean(ours.map(({ capacity: { speed, speedBound } }) => speed / speedBound)), 2),
        Number.isFinite(ratio) ? formatNumber(ratio, 3) : '-',
      ];
    }),
  };
}

/** Mean TTFT at the rates that met the SLO, first seed. */
function probesPlot(workload: string, found: readonly Found[], policies: readonly PolicySpec[]): string {
  return linePlot({
    title: `${workload}: TTFT up to the capacity`,
    xLabel: 'requests a second',
    yLabel: 'mean TTFT, s',
    yLog: true,
    marks: true,
    series: policies.map(({ text }) => {
      const { capacity: first, ownRatePerS: rate } = found.find(({ policy }) => policy === text)!;
      const points = first.probes.flatMap(({ speed, ttftMeanMs }) =>
        ttftMeanMs === null ? [] : [[speed * rate, ttftMeanMs / 1000] as const],
      );
      return { name: text, points };
    }),
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
