// `kvoyant lab compare`: many workloads under many policies, each at a share of what round robin can carry.

import { Command, Option } from 'commander';
import {
  describeRuns,
  type PolicyRuns,
  type PolicySpec,
  parsePolicySpec,
  type ReportSection,
  type RunResult,
  ratioNote,
  reportPage,
  resultTable,
  summaryNote,
  summaryTable,
  tableNotes,
  toJson,
} from '../lab/index.ts';
import { formatTable } from '../report/text-table.ts';
import { workloadNames } from '../trace/generate-workload.ts';
import { type Capacity, capacityOf, probesExpected } from './lab-capacity-of.ts';
import { sayingErrors } from './lab-error.ts';
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
  number,
  policyOption,
  runSpec,
  type TokenizerFlag,
  type WorkloadFlags,
  workloadSpec,
} from './lab-flags.ts';
import { buildWorkload, findWorkload, type WorkloadSpec } from './lab-workload.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag, ExperimentFlags {
  readonly workloads: readonly string[];
  readonly policies: readonly PolicySpec[];
  readonly seeds: number;
  readonly loads: readonly number[];
}

/** The policy whose capacity sets the load, and to which ratios are taken. */
const REFERENCE = 'round-robin';

/** Every policy of the lab but the control that has no idea of load. */
export const comparedPolicies: readonly string[] = [
  REFERENCE,
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
];

export function labCompareCommand(): Command {
  const command = new Command('compare')
    .description('run workloads under policies on all cores; go on where an interrupted comparison was')
    .argument('[files...]', 'trace files to compare beside the workloads')
    .addOption(
      new Option('--workloads <list>', 'shipped workloads')
        .argParser(list)
        .default(workloadNames, workloadNames.join(',')),
    )
    .addOption(policyOption('--policies <list>', 'as in lab run --policy', comparedPolicies))
    .option('--seeds <n>', 'repetitions with seeds 1 to n', integer(1, 1000), 3)
    .addOption(
      new Option('--loads <list>', "shares of round robin's capacity; a burst has none")
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
  await withExperiment(flags, async (experiment) => {
    const sections: ReportSection[] = [];
    for (const section of await compareAll(flags, experiment)) sections.push(section);
    experiment.progress.clear();
    printSections(sections);
    const runs = sections.flatMap(({ loads }) => loads.flatMap(({ policies }) => policies.flatMap((one) => one.runs)));
    const figures = runs.map(({ load, ...rest }) => rest);
    const json = await experiment.folder.write('compare.json', `${JSON.stringify({ runs: figures }, null, 1)}\n`);
    const html = await experiment.folder.write('report.html', reportPage('kvoyant lab compare', sections, REFERENCE));
    console.log(`\n${json}\n${html}`);
  });
}

function printSections(sections: readonly ReportSection[]): void {
  for (const { title, loads } of sections) {
    for (const { label, policies } of loads) {
      console.log(`\n${title}: ${label}`);
      for (const line of describeRuns(policies[0]!.runs[0]!)) console.log(`  ${line}`);
      const { columns, rows } = resultTable(policies, REFERENCE);
      for (const line of formatTable(columns, rows)) console.log(line);
    }
  }
  const summary = sections.length > 1 ? summaryTable(sections, REFERENCE) : null;
  if (summary !== null) {
    console.log('\nall workloads');
    for (const line of formatTable(summary.columns, summary.rows)) console.log(line);
    console.log(summaryNote);
  }
  console.log();
  for (const note of [...tableNotes, ratioNote]) console.log(note);
}

/** One workload with one seed: at each load, the runs of all policies in their order. */
interface Seeded {
  readonly capacity: Capacity | null;
  readonly runs: readonly (readonly RunResult[])[];
}

/** @returns one section a workload */
export async function compareAll(flags: Flags, experiment: Experiment): Promise<ReportSection[]> {
  const pairs: WorkloadSpec[] = [];
  for (const name of flags.workloads) {
    const found = await findWorkload(name);
    for (let seed = 1; seed <= flags.seeds; seed++) pairs.push(workloadSpec(found, flags, seed, { kind: 'own' }));
  }
  experiment.progress.expect(pairs.length * (probesExpected + flags.policies.length * flags.loads.length));
  const seeded = await mapWidth(pairs, experiment.width, (pair) => compareOne(pair, flags, experiment));
  return flags.workloads.map((_, at) => {
    const seeds = seeded.slice(at * flags.seeds, (at + 1) * flags.seeds);
    return {
      title: pairs[at * flags.seeds]!.name,
      loads: seeds[0]!.runs.map((_runs, load) => loadOf(seeds, load, flags)),
    };
  });
}

async function compareOne(pair: WorkloadSpec, flags: Flags, experiment: Experiment): Promise<Seeded> {
  const workload = await buildWorkload(pair);
  const specOf = (policy: PolicySpec) => runSpec(flags, policy, pair.seed, workload.kvTokensPerWorker);
  const capacity = await capacityOf(experiment, workload, pair, specOf(parsePolicySpec(REFERENCE)));
  // A burst is as it is, whatever the loads.
  const speeds = capacity === null ? [1] : flags.loads.map((load) => load * loadUnit(capacity));
  experiment.progress.expect((speeds.length - flags.loads.length) * flags.policies.length);
  const runs = await Promise.all(
    speeds.map((speed) =>
      Promise.all(
        flags.policies.map((policy) => experiment.execute(pair, { kind: 'run', spec: toJson(specOf(policy)), speed })),
      ),
    ),
  );
  return { capacity, runs };
}

/** Where round robin meets the SLO at no rate at all, half the bound of all policies stands in. */
function loadUnit({ speed, speedBound }: Capacity): number {
  return speed > 0 ? speed : speedBound / 2;
}

function loadOf(seeds: readonly Seeded[], load: number, flags: Flags): { label: string; policies: PolicyRuns[] } {
  const policies = flags.policies.map(({ text }, at) => ({
    policy: text,
    runs: seeds.map(({ runs }) => runs[load]![at]!),
  }));
  const rates = seeds.map(({ runs }) => runs[load]![0]!.workload.ratePerS);
  if (rates.includes(null)) return { label: 'all requests at once', policies };
  const met = seeds.every(({ capacity }) => capacity !== null && capacity.speed > 0);
  const unit = met ? "round robin's capacity" : 'half the bound of all policies (round robin meets the SLO at no rate)';
  const shown = rates.map((rate) => rate!.toFixed(2)).join(', ');
  return {
    label: `${flags.loads[load]} of ${unit}: ${shown} req/s${flags.seeds === 1 ? '' : ` with seeds 1 to ${flags.seeds}`}`,
    policies,
  };
}

function loadList(text: string): number[] {
  return list(text)
    .map(number(0.001, 100))
    .sort((a, b) => a - b);
}
