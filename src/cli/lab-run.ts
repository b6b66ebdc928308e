// `kvoyant lab run`: runs one workload under one or several policies and writes tables, JSON and an HTML report.

import { writeFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import {
  describeRuns,
  fleetTables,
  type PolicySpec,
  ratioNote,
  reportPage,
  resultOf,
  resultTable,
  simulate,
  slowDownNote,
  tableNotes,
  verdict,
} from '../lab/index.ts';
import { formatTable } from '../report/text-table.ts';
import { checkWorkload } from '../trace/workload.ts';
import { addClusterFlags, type ClusterFlags, runSpec } from './lab-cluster-flags.ts';
import { sayingErrors } from './lab-error.ts';
import {
  addTokenizerFlag,
  addWorkloadFlags,
  integer,
  number,
  policyOption,
  type TokenizerFlag,
  type WorkloadFlags,
  workloadSpec,
} from './lab-flags.ts';
import { type Arrivals, buildWorkload, findWorkload } from './lab-workload.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag {
  readonly workload: string;
  readonly policy: readonly PolicySpec[];
  readonly seed: number;
  readonly rate?: number;
  readonly speed?: number;
  readonly concurrency?: number;
  readonly json?: string;
  readonly html?: string;
}

export function labRunCommand(): Command {
  const command = new Command('run')
    .description('run one workload in virtual time under one policy, or several separated by commas')
    .requiredOption('--workload <name|file>', 'a shipped workload, or a trace file, plain or gzipped')
    .addOption(
      policyOption(
        '--policy <list>',
        'name[:key=value..], such as kv:form=1731:temperature=0.5 or kv:credit=off:event-delay-ms=50:book-delay-ms=5',
        ['foresee'],
      ),
    )
    .option('--seed <n>', "seed of the workload and of the policy's draws", integer(0, 4_294_967_295), 1)
    .addOption(
      new Option('--rate <r>', 'requests per second').argParser(number(1e-6, 1e6)).conflicts(['speed', 'concurrency']),
    )
    .addOption(
      new Option('--speed <f>', 'factor by which arrivals and think times are faster')
        .argParser(number(1e-6, 1e6))
        .conflicts('concurrency'),
    )
    .option('--concurrency <n>', 'requests in flight, as a closed loop', integer(1, 1e6))
    .option('--json <file>', 'write the figures to this file; the same seed gives the same bytes')
    .option('--html <file>', 'write a report with plots to this file');
  addTokenizerFlag(addWorkloadFlags(addClusterFlags(command)));
  return command.action(sayingErrors(command, run));
}

async function run(flags: Flags): Promise<void> {
  const found = await findWorkload(flags.workload);
  const workload = await buildWorkload(workloadSpec(found, flags, flags.seed, arrivalsOf(flags)));
  checkWorkload(workload);
  const policies = flags.policy.map((policy) => {
    const spec = runSpec(flags, policy, flags.seed, workload.kvTokensPerWorker);
    return { policy: policy.text, runs: [resultOf(workload, spec, simulate(workload, spec))] };
  });
  const reference = policies[0]!.policy;
  const table = resultTable(policies, reference);
  const decided = verdict(policies, reference);
  const lines = [
    workload.name,
    ...(decided === null ? [] : [decided]),
    ...formatTable(table.columns, table.rows),
    ...fleetTables(policies).flatMap((one) => ['', ...formatTable(one.columns, one.rows)]),
    ...describeRuns(policies).map((line) => `  ${line}`),
    '',
    ...tableNotes,
    ...(policies.length > 1 ? [ratioNote] : []),
    ...(policies[0]!.runs[0]!.slowDown === null ? [] : [slowDownNote]),
  ];
  for (const line of lines) console.log(line);
  if (flags.json !== undefined) {
    const runs = policies.flatMap((policy) => policy.runs);
    await writeFile(flags.json, `${JSON.stringify({ runs }, null, 1)}\n`);
  }
  if (flags.html !== undefined) {
    const section = { title: workload.name, loads: [{ label: '', policies }] };
    await writeFile(flags.html, reportPage(`kvoyant lab: ${workload.name}`, [section], reference));
  }
}

function arrivalsOf({ rate, speed, concurrency }: Flags): Arrivals {
  if (rate !== undefined) return { kind: 'rate', perS: rate };
  if (speed !== undefined) return { kind: 'speed', factor: speed };
  if (concurrency !== undefined) return { kind: 'closed-loop', concurrency };
  return { kind: 'own' };
}
