// `kvoyant lab compare`: runs many workloads under many policies, at shares of round robin's capacity.

import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  describeRuns,
  fleetTables,
  hasSlowDown,
  overallVerdict,
  type PolicyRuns,
  type PolicySpec,
  parsePolicySpec,
  policyPlot,
  type ReportLoad,
  type ReportSection,
  type RunResult,
  ratioNote,
  reportPage,
  resultTable,
  runSpecDefaults,
  slowDownNote,
  summaryGroups,
  summaryNote,
  summaryTable,
  tableNotes,
  toJson,
  verdict,
} from '../lab/index.ts';
import { formatTable } from '../report/text-table.ts';
import { type EngineProfileName, engineProfileNames } from '../sim/index.ts';
import { type WorkloadSet, workloadSets } from '../trace/generate-workload.ts';
import { type Capacity, capacityOf } from './lab-capacity-of.ts';
import { addEngineFlags, type ClusterFlags, type EngineFlags, workersMax } from './lab-cluster-flags.ts';
import { sayingErrors } from './lab-error.ts';
import {
  addExperimentFlags,
  type Experiment,
  type ExperimentFlags,
  mapWidth,
  withExperiment,
} from './lab-experiment.ts';
import {
  addTokenizerFlag,
  addWorkloadFlags,
  integer,
  list,
  number,
  policyOption,
  seedOption,
  type TokenizerFlag,
  type WorkloadFlags,
} from './lab-flags.ts';
import { type PreparedWorkload, prepareWorkloads, seededRuns } from './lab-prepared.ts';

interface Flags extends EngineFlags, WorkloadFlags, TokenizerFlag, ExperimentFlags {
  readonly workloads: readonly string[];
  readonly policies: readonly PolicySpec[];
  readonly workers: readonly number[];
  readonly profiles: readonly EngineProfileName[];
  readonly seeds: readonly number[];
  readonly loads: readonly number[];
  readonly svg?: string;
}

interface Given extends Omit<Flags, 'workloads'> {
  readonly set: WorkloadSet;
  readonly workloads?: readonly string[];
}

/** One workload on one cluster. */
interface Row {
  readonly title: string;
  readonly workload: PreparedWorkload;
  readonly cluster: ClusterFlags;
}

/** The policy whose capacity sets the load and that ratios refer to. */
const referencePolicy = 'round-robin';
/** The policy in colour in the picture. */
const highlightedPolicy = 'foresee';

/** All policies of the lab except the control without a load term. */
export const comparedPolicies: readonly string[] = [
  referencePolicy,
  'random',
  'least-requests',
  'power-of-two',
  'prefix-hash',
  'sglang-cache-aware',
  'sglang-cache-aware:defaults=library',
  'sticky-token-load',
  'kv:form=1731:temperature=0.5',
  'kv:form=1731',
  'kv',
  'dynamo',
  'lmetric',
  'lpwl',
  'what-if',
  'marginal-cost',
  'foresee',
];

export function labCompareCommand(): Command {
  const command = new Command('compare')
    .description('run workloads under policies on all cores; resume an interrupted comparison')
    .argument('[files...]', 'trace files to compare in addition to the workloads')
    .addOption(
      new Option('--set <name>', 'shipped workloads: those of the peers, the other classes, or all')
        .choices(Object.keys(workloadSets))
        .default('all'),
    )
    .addOption(new Option('--workloads <list>', 'shipped workloads by name, in place of a set').argParser(list))
    .addOption(policyOption('--policies <list>', 'as in lab run --policy', comparedPolicies))
    .addOption(seedOption(5))
    .addOption(
      new Option('--workers <list>', 'numbers of simulated engines; several make a grid')
        .argParser((text) => distinct(list(text).map(integer(1, workersMax))))
        .default([runSpecDefaults.workers], `${runSpecDefaults.workers}`),
    )
    .addOption(
      new Option('--profiles <list>', `cards and models of the engines, of ${engineProfileNames.join(', ')}`)
        .argParser(profileList)
        .default([runSpecDefaults.profile], runSpecDefaults.profile),
    )
    .addOption(
      new Option('--loads <list>', "shares of round robin's capacity; without effect on a burst")
        .argParser(loadList)
        .default([0.9], '0.9'),
    )
    .option('--svg <file>', 'write the summary as a picture');
  addExperimentFlags(addTokenizerFlag(addWorkloadFlags(addEngineFlags(command))), 'lab-results');
  const action = sayingErrors(command, compare);
  return command.action((files: readonly string[], { set, ...flags }: Given) =>
    action({ ...flags, workloads: [...(flags.workloads ?? workloadSets[set]), ...files] }),
  );
}

async function compare(flags: Flags): Promise<void> {
  const workloads = await prepareWorkloads(flags.workloads, flags);
  const rows = rowsOf(workloads, flags);
  // Report impossible clusters before the folder is created.
  for (const { workload, cluster } of rows) seededRuns(workload, parsePolicySpec(referencePolicy), cluster);
  await withExperiment(flags, async (experiment) => {
    const sections = await compareAll(rows, flags, experiment);
    experiment.progress.clear();
    printSections(sections);
    const runs = sections.flatMap(({ loads }) => loads.flatMap(({ policies }) => policies.flatMap((one) => one.runs)));
    const figures = runs.map(({ load, ...rest }) => rest);
    const json = await experiment.folder.write('compare.json', `${JSON.stringify({ runs: figures }, null, 1)}\n`);
    const html = await experiment.folder.write(
      'report.html',
      reportPage('kvoyant lab compare', sections, referencePolicy),
    );
    console.log(`\n${json}\n${html}`);
    if (flags.svg !== undefined) await writePlot(flags.svg, sections);
  });
}

async function writePlot(file: string, sections: readonly ReportSection[]): Promise<void> {
  const svg = policyPlot(sections, referencePolicy, highlightedPolicy);
  if (svg === null) {
    console.error(`kvoyant lab compare: --svg: needs ${referencePolicy} and another policy on two workloads or loads`);
    return;
  }
  await writeFile(file, `${svg}\n`);
  console.log(file);
}

function printSections(sections: readonly ReportSection[]): void {
  for (const line of overallVerdict(sections, referencePolicy)) console.log(line);
  const groups = summaryGroups(sections);
  for (const group of groups) {
    const summary = summaryTable(group.sections, referencePolicy);
    if (summary === null) continue;
    console.log(`\n${group.title}`);
    for (const line of formatTable(summary.columns, summary.rows)) console.log(line);
  }
  for (const { title, loads } of sections) {
    for (const { label, policies } of loads) {
      console.log(`\n${title}: ${label}`);
      const found = verdict(policies, referencePolicy);
      if (found !== null) console.log(found);
      const { columns, rows } = resultTable(policies, referencePolicy);
      for (const line of formatTable(columns, rows)) console.log(line);
      for (const table of fleetTables(policies)) {
        for (const line of ['', ...formatTable(table.columns, table.rows)]) console.log(line);
      }
      for (const line of describeRuns(policies)) console.log(`  ${line}`);
    }
  }
  console.log();
  const summarized = groups.length === 0 ? [] : [summaryNote];
  const slowed = hasSlowDown(sections) ? [slowDownNote] : [];
  for (const note of [...summarized, ...tableNotes, ratioNote, ...slowed]) console.log(note);
}

/** Every workload on every cluster of the grid. */
function rowsOf(workloads: readonly PreparedWorkload[], flags: Flags): Row[] {
  const clusters = flags.profiles.flatMap((profile) => flags.workers.map((workers) => ({ profile, workers })));
  return clusters.flatMap(({ profile, workers }) =>
    workloads.map((workload) => {
      const names = [
        workload.name,
        ...(flags.workers.length > 1 ? [`${workers} workers`] : []),
        ...(flags.profiles.length > 1 ? [profile] : []),
      ];
      return { title: names.join(', '), workload, cluster: { ...flags, profile, workers } };
    }),
  );
}

/** @returns one section per row */
async function compareAll(rows: readonly Row[], flags: Flags, experiment: Experiment): Promise<ReportSection[]> {
  experiment.progress.expect(rows.length * flags.seeds.length * flags.policies.length * flags.loads.length);
  return await mapWidth(rows, experiment.width, (row) => compareOne(row, flags, experiment));
}

async function compareOne(
  { title, workload, cluster }: Row,
  flags: Flags,
  experiment: Experiment,
): Promise<ReportSection> {
  // The capacity is searched without the slow-down, so the load is the same with and without it.
  const { slowDown, ...steady } = cluster;
  const capacity = await capacityOf(experiment, seededRuns(workload, parsePolicySpec(referencePolicy), steady));
  // A burst has no rate, so the loads do not apply.
  const speeds = capacity === null ? [1] : flags.loads.map((load) => load * loadUnit(capacity));
  experiment.progress.expect((speeds.length - flags.loads.length) * flags.policies.length * flags.seeds.length);
  const loads = speeds.map(async (speed, at): Promise<ReportLoad> => {
    const policies = flags.policies.map(async (policy): Promise<PolicyRuns> => {
      const runs = seededRuns(workload, policy, cluster).map(({ workload: seed, spec }) =>
        experiment.execute(seed, { kind: 'run', spec: toJson(spec), speed }),
      );
      return { policy: policy.text, runs: await Promise.all(runs) };
    });
    const ofLoad = await Promise.all(policies);
    return { label: loadLabel(capacity, flags.loads[at]!, ofLoad[0]!.runs), policies: ofLoad };
  });
  return { title, loads: await Promise.all(loads) };
}

/** If round robin meets the SLO at no rate, half the bound of all policies is used. */
function loadUnit({ speed, speedBound }: Capacity): number {
  return speed > 0 ? speed : speedBound / 2;
}

function loadLabel(capacity: Capacity | null, load: number, runs: readonly RunResult[]): string {
  const rates = runs.map(({ workload }) => workload.ratePerS);
  if (capacity === null || rates.includes(null)) return 'all requests at once';
  const shown = rates.map((rate) => rate!.toFixed(2));
  const same = shown.every((rate) => rate === shown[0]);
  const seeds = `${runs[0]!.spec.seed} to ${runs.at(-1)!.spec.seed}`;
  const at = `${same ? shown[0] : shown.join(', ')} req/s${same ? '' : ` with seeds ${seeds}`}`;
  if (capacity.speed === 0)
    return `${load} of half the bound of all policies (round robin meets the SLO at no rate): ${at}`;
  const unsure = capacity.judged?.verdict === 'short' ? ' (from a run that was too short)' : '';
  return `${load} of round robin's capacity${unsure}: ${at}`;
}

function loadList(text: string): number[] {
  return distinct(list(text).map(number(0.001, 100))).sort((a, b) => a - b);
}

function profileList(text: string): EngineProfileName[] {
  return distinct(
    list(text).map((name) => {
      const found = engineProfileNames.find((known) => known === name);
      if (found === undefined) throw new InvalidArgumentError(`${name} is none of ${engineProfileNames.join(', ')}.`);
      return found;
    }),
  );
}

const distinct = <T>(items: readonly T[]): T[] => [...new Set(items)];
