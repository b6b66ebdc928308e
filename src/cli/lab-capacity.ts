// `kvoyant lab capacity`: finds the highest rate at which each policy meets the SLO, over all seeds together.

import { Command } from 'commander';
import {
  describeCluster,
  goodShareMin,
  type PolicySpec,
  type RunSpec,
  seedsOfTraceNote,
  slowdownMax,
  spanOverE2eMin,
  toJson,
} from '../lab/index.ts';
import { findingOf } from '../report/finding.ts';
import { htmlFigure, htmlHeading, htmlPage, htmlParagraph, htmlTable } from '../report/html-page.ts';
import { linePlot } from '../report/svg-plot.ts';
import { type Column, formatNumber, formatTable } from '../report/text-table.ts';
import { type Capacity, capacityOf } from './lab-capacity-of.ts';
import { addClusterFlags, type ClusterFlags } from './lab-cluster-flags.ts';
import { LabError, sayingErrors } from './lab-error.ts';
import { addExperimentFlags, type ExperimentFlags, mapWidth, withExperiment } from './lab-experiment.ts';
import {
  addTokenizerFlag,
  addWorkloadFlags,
  list,
  number,
  policyOption,
  seedOption,
  type TokenizerFlag,
  type WorkloadFlags,
} from './lab-flags.ts';
import { type PreparedWorkload, prepareWorkloads, seededRuns } from './lab-prepared.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag, ExperimentFlags {
  readonly workloads: readonly string[];
  readonly policies: readonly PolicySpec[];
  readonly seeds: readonly number[];
  /** Percent. */
  readonly step?: number;
}

/** Result of one policy on one workload, over all seeds. */
interface Found {
  readonly workload: string;
  readonly policy: string;
  readonly capacity: Capacity;
}

export function labCapacityCommand(): Command {
  const command = new Command('capacity')
    .description(`find the highest rate at which ${goodShareMin * 100} % of the requests are within the SLO`)
    .requiredOption('--workloads <list>', 'shipped workloads and trace files', list)
    .addOption(policyOption('--policies <list>', 'as in lab run --policy', ['round-robin', 'foresee']))
    .addOption(seedOption(3))
    .option('--step <percent>', 'tell rates apart that differ by this (default: 2.4)', number(0.5, 10));
  addExperimentFlags(addTokenizerFlag(addWorkloadFlags(addClusterFlags(command))), 'lab-results');
  return command.action(sayingErrors(command, capacity));
}

async function capacity(flags: Flags): Promise<void> {
  const workloads = await prepareWorkloads(flags.workloads, flags);
  for (const { name, ownRatePerS } of workloads) {
    if (ownRatePerS === null) throw new LabError('no-rate', `workload ${name}: all requests arrive at once`);
  }
  const runs = workloads.map((workload) => flags.policies.map((policy) => seededRuns(workload, policy, flags)));
  const resolution = flags.step === undefined ? undefined : 1 + flags.step / 100;
  await withExperiment(flags, async (experiment) => {
    const found = await mapWidth(workloads, experiment.width, (workload, at) =>
      Promise.all(
        flags.policies.map(async (policy, of): Promise<Found> => {
          const result = await capacityOf(experiment, runs[at]![of]!, resolution);
          return { workload: workload.name, policy: policy.text, capacity: result! };
        }),
      ),
    );
    experiment.progress.clear();
    const html: string[] = [];
    for (const [at, workload] of workloads.entries()) {
      const ours = found[at]!;
      const { columns, rows } = capacityTable(ours);
      const about = aboutRuns(workload, runs[at]![0]![0]!.spec);
      console.log(`\n${workload.name}`);
      for (const line of about) console.log(`  ${line}`);
      for (const line of formatTable(columns, rows)) console.log(line);
      html.push(
        htmlHeading(workload.name),
        ...about.map((line) => htmlParagraph(line, true)),
        htmlTable(columns, rows),
        htmlFigure(probesPlot(workload.name, ours)),
      );
    }
    console.log();
    for (const note of notes) console.log(note);
    const json = await experiment.folder.write(
      'capacity.json',
      `${JSON.stringify({ capacities: found.flat() }, null, 1)}\n`,
    );
    const page = htmlPage('kvoyant lab capacity', [...html, ...notes.map((note) => htmlParagraph(note, true))]);
    console.log(`${json}\n${await experiment.folder.write('capacity.html', page)}`);
  });
}

const notes: readonly string[] = [
  `Good to: the highest rate at which ${goodShareMin * 100} % of the requests of all seeds were within the SLO, as they were at every lower rate tried, ` +
    'and at which answers did not become slower and slower. Bad from: the lowest rate tried from which on none was good.',
  'Rates in between were not tried, or only some were good. Run, x E2E: how long requests arrived in the run that decided `good to`, ' +
    `over their mean E2E. Below ${spanOverE2eMin}, or if answers take ${slowdownMax} x as long in the second half, a run does not show a rate that lasts.`,
  'Of bound, ratio: for `good to`. The bound is the rate at which the work exceeds the time of all workers, even with every hit of an infinite cache.',
];

function aboutRuns({ recorded, seeds }: PreparedWorkload, spec: RunSpec): string[] {
  const note = recorded && seeds.length > 1 ? [seedsOfTraceNote(seeds.map(({ seed }) => seed))] : [];
  return [...describeCluster(toJson(spec)), ...note];
}

const capacityColumns = (reference: string): readonly Column[] => [
  { title: 'policy', align: 'left' },
  { title: 'good to', group: 'capacity, req/s' },
  { title: 'bad from', group: 'capacity, req/s' },
  { title: `/ ${reference}` },
  { title: 'of bound' },
  { title: 'x own rate' },
  { title: 'requests', group: 'run' },
  { title: 'x E2E', group: 'run' },
  { title: 'what fails above', align: 'left' },
];

function capacityTable(found: readonly Found[]): { columns: readonly Column[]; rows: string[][] } {
  const { policy: reference, capacity: base } = found[0]!;
  return {
    columns: capacityColumns(reference),
    rows: found.map(({ policy, capacity: own }) => {
      const { speed, failsFrom, speedBound, ownRatePerS, judged } = own;
      const perS = (value: number): string => formatNumber(value * ownRatePerS, ownRatePerS * speedBound < 10 ? 2 : 1);
      const isKnown = judged !== null;
      return [
        policy,
        isKnown ? perS(speed) : '-',
        failsFrom === null ? '-' : perS(failsFrom),
        isKnown && base.speed > 0 ? formatNumber((speed * ownRatePerS) / (base.speed * base.ownRatePerS), 2) : '-',
        isKnown ? formatNumber(speed / speedBound, 2) : '-',
        isKnown ? formatNumber(speed, 2) : '-',
        isKnown ? formatNumber(judged.requests) : '-',
        judged?.spanOverE2e == null ? '-' : formatNumber(judged.spanOverE2e),
        whatFails(own),
      ];
    }),
  };
}

function whatFails({ speed, judged, probes }: Capacity): string {
  const tooShort = judged?.verdict === 'short' ? ['the run is too short to tell what lasts'] : [];
  const next = probes.find((probe) => probe.speed > speed);
  if (next === undefined || next.verdict === 'over-bound')
    return [...tooShort, 'nothing: the bound was reached'].join('; ');
  const share = next.goodShare === null ? `under ${goodShareMin * 100}` : formatNumber(next.goodShare * 100, 1);
  const why = next.verdict === 'slows' ? `answers slow down ${formatNumber(next.slowdown!, 2)} x` : `${share} % good`;
  return [...tooShort, why].join('; ');
}

/** Mean TTFT at the rates that met the SLO. */
function probesPlot(workload: string, found: readonly Found[]): string {
  return linePlot({
    title: findingOf(
      'capacity',
      found.map(({ policy, capacity: { speed, ownRatePerS } }) => ({ name: policy, value: speed * ownRatePerS })),
      (value) => `${formatNumber(value, 1)} requests/s`,
      'higher',
    ),
    subtitle: `${workload}: mean TTFT up to the capacity`,
    xLabel: 'requests a second',
    yLabel: 'mean TTFT, s',
    yLog: true,
    marks: true,
    series: found.map(({ policy, capacity: { probes, ownRatePerS } }) => ({
      name: policy,
      points: probes.flatMap(({ speed, ttftMeanMs }) =>
        ttftMeanMs === null ? [] : [[speed * ownRatePerS, ttftMeanMs / 1000] as const],
      ),
    })),
  });
}
