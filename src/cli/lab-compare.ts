// `kvoyant lab compare`: runs many workloads under many policies, at shares of round robin's capacity.

import { Command, Option } from 'commander';
import {
  describeRuns,
  fleetTables,
  overallVerdict,
  type PolicyRuns,
  type PolicySpec,
  parsePolicySpec,
  type ReportLoad,
  type ReportSection,
  type RunResult,
  ratioNote,
  reportPage,
  resultTable,
  summaryNote,
  summaryTable,
  tableNotes,
  toJson,
  verdict,
} from '../lab/index.ts';
import { formatTable } from '../report/text-table.ts';
import { workloadNames } from '../trace/generate-workload.ts';
import { type Capacity, capacityOf } from './lab-capacity-of.ts';
import { addClusterFlags, type ClusterFlags } from './lab-cluster-flags.ts';
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
  type TokenizerFlag,
  type WorkloadFlags,
} from './lab-flags.ts';
import { type PreparedWorkload, prepareWorkloads, seededRuns } from './lab-prepared.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag, ExperimentFlags {
  readonly workloads: readonly string[];
  readonly policies: readonly PolicySpec[];
  readonly seeds: number;
  readonly loads: readonly number[];
}

/** The policy whose capacity sets the load and that ratios refer to. */
const referencePolicy = 'round-robin';

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
      new Option('--workloads <list>', 'shipped workloads')
        .argParser(list)
        .default(workloadNames, workloadNames.join(',')),
    )
    .addOption(policyOption('--policies <list>', 'as in lab run --policy', comparedPolicies))
    .option('--seeds <n>', 'repetitions with seeds 1 to n', integer(1, 1000), 3)
    .addOption(
      new Option('--loads <list>', "shares of round robin's capacity; without effect on a burst")
        .argParser(loadList)
        .default([0.9], '0.9'),
    );
  addExperimentFlags(addTokenizerFlag(addWorkloadFlags(addClusterFlags(command))), 'lab-results');
  const action = sayingErrors(command, compare);
  return command.action((files: readonly string[], flags: Flags) =>
    action({ ...flags, workloads: [...flags.workloads, ...files] }),
  );
}

async function compare(flags: Flags): Promise<void> {
  const workloads = await prepareWorkloads(flags.workloads, flags);
  // Report invalid workloads before the folder is created.
  for (const workload of workloads) seededRuns(workload, parsePolicySpec(referencePolicy), flags);
  await withExperiment(flags, async (experiment) => {
    const sections = await compareAll(workloads, flags, experiment);
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
  });
}

function printSections(sections: readonly ReportSection[]): void {
  const summary = sections.length > 1 ? summaryTable(sections, referencePolicy) : null;
  const overall = overallVerdict(sections, referencePolicy);
  if (overall !== null) console.log(overall);
  if (summary !== null) {
    console.log('\nall workloads');
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
  for (const note of [...(summary === null ? [] : [summaryNote]), ...tableNotes, ratioNote]) console.log(note);
}

/** @returns one section per workload */
async function compareAll(
  workloads: readonly PreparedWorkload[],
  flags: Flags,
  experiment: Experiment,
): Promise<ReportSection[]> {
  experiment.progress.expect(workloads.length * flags.seeds * flags.policies.length * flags.loads.length);
  return await mapWidth(workloads, experiment.width, (workload) => compareOne(workload, flags, experiment));
}

async function compareOne(workload: PreparedWorkload, flags: Flags, experiment: Experiment): Promise<ReportSection> {
  const capacity = await capacityOf(experiment, seededRuns(workload, parsePolicySpec(referencePolicy), flags));
  // A burst has no rate, so the loads do not apply.
  const speeds = capacity === null ? [1] : flags.loads.map((load) => load * loadUnit(capacity));
  experiment.progress.expect((speeds.length - flags.loads.length) * flags.policies.length * flags.seeds);
  const loads = speeds.map(async (speed, at): Promise<ReportLoad> => {
    const policies = flags.policies.map(async (policy): Promise<PolicyRuns> => {
      const runs = seededRuns(workload, policy, flags).map(({ workload: seed, spec }) =>
        experiment.execute(seed, { kind: 'run', spec: toJson(spec), speed }),
      );
      return { policy: policy.text, runs: await Promise.all(runs) };
    });
    const ofLoad = await Promise.all(policies);
    return { label: loadLabel(capacity, flags.loads[at]!, ofLoad[0]!.runs), policies: ofLoad };
  });
  return { title: workload.name, loads: await Promise.all(loads) };
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
  const at = `${same ? shown[0] : shown.join(', ')} req/s${same ? '' : ` with seeds 1 to ${runs.length}`}`;
  if (capacity.speed === 0)
    return `${load} of half the bound of all policies (round robin meets the SLO at no rate): ${at}`;
  const unsure = capacity.judged?.verdict === 'short' ? ' (from a run that was too short)' : '';
  return `${load} of round robin's capacity${unsure}: ${at}`;
}

function loadList(text: string): number[] {
  return list(text)
    .map(number(0.001, 100))
    .sort((a, b) => a - b);
}
