// `kvoyant lab tenants`: what a burst of one tenant does to the time to first token of another.

import { Command } from 'commander';
import {
  burstSpan,
  type CalmFigures,
  calmFigures,
  type PolicySpec,
  type RunSpec,
  simulate,
  withBurst,
  withoutTenants,
} from '../lab/index.ts';
import { formatTable } from '../report/text-table.ts';
import type { Workload } from '../trace/workload.ts';
import { addClusterFlags, type ClusterFlags, runSpec } from './lab-cluster-flags.ts';
import { LabError, sayingErrors } from './lab-error.ts';
import {
  addTokenizerFlag,
  addWorkloadFlags,
  integer,
  number,
  policyArgument,
  type TokenizerFlag,
  type WorkloadFlags,
  workloadSpec,
} from './lab-flags.ts';
import { buildWorkload, findWorkload } from './lab-workload.ts';

interface Flags extends ClusterFlags, WorkloadFlags, TokenizerFlag {
  readonly workload: string;
  readonly policy: PolicySpec;
  readonly rate: number;
  readonly burst: number;
  readonly seed: number;
}

const policyDefault = 'foresee:late-binding=on';

export function labTenantsCommand(): Command {
  const command = new Command('tenants')
    .description(
      'simulate a tenant alone, and with a burst of another in its middle: in order of arrival, fairly, and with workers kept free',
    )
    .option('--workload <name|file>', 'requests of the calm tenant', 'zipf')
    .option('--rate <r>', 'its requests per second', number(1e-6, 1e6), 8)
    .option('--burst <n>', 'requests of the other tenant, all at once', integer(1, 1_000_000), 1000)
    .option(
      '--policy <spec>',
      `name[:key=value..] (default: ${policyDefault}); without late binding or queue nothing waits at the router`,
      policyArgument,
      policyArgument(policyDefault),
    )
    .option('--seed <n>', "seed of the workload and of the policy's draws", integer(0, 4_294_967_295), 1);
  addTokenizerFlag(addWorkloadFlags(addClusterFlags(command)));
  return command.action(sayingErrors(command, run));
}

async function run(flags: Flags): Promise<void> {
  const found = await findWorkload(flags.workload);
  const alone = await buildWorkload(workloadSpec(found, flags, flags.seed, { kind: 'rate', perS: flags.rate }));
  if (alone.requests.some(({ after }) => after !== undefined)) {
    throw new LabError(
      'workload-unknown',
      `${flags.workload} is a closed loop: its requests do not arrive by themselves`,
    );
  }
  const spec = runSpec(flags, flags.policy, flags.seed, alone.kvTokensPerWorker);
  console.log(`${alone.name} at ${flags.rate} requests per second, ${flags.workers} workers, ${flags.policy.text}`);
  console.log(`A burst of ${flags.burst} requests of another tenant in its middle`);
  for (const line of tenantTable(alone, flags.burst, spec)) console.log(line);
}

/** TTFT of the calm tenant while the burst waits: in each run, and alone in the same time. */
export function tenantTable(alone: Workload, burst: number, spec: RunSpec): string[] {
  const both = withBurst(alone, burst);
  const without: RunSpec = { ...spec, policy: { ...spec.policy, tenantReserveS: 0 } };
  const own = simulate(alone, spec).log;
  const withBurstRow = (name: string, workload: Workload, run: RunSpec): string[] => {
    const { log } = simulate(workload, run);
    const span = burstSpan(both, log);
    const seconds = ((span.untilMs - span.fromMs) / 1000).toFixed(1);
    return row(name, calmFigures(both, log, span), calmFigures(alone, own, span), seconds);
  };
  const rows = [
    withBurstRow('burst, in order of arrival', withoutTenants(both), spec),
    withBurstRow('burst, fair queue', both, without),
  ];
  const { tenantReserveS } = spec.policy;
  if (tenantReserveS > 0) rows.push(withBurstRow(`burst, fair queue, reserve of ${tenantReserveS} s`, both, spec));
  const columns = [
    'requests',
    'alone p50 ms',
    'p50 ms',
    'x alone',
    'alone p99 ms',
    'p99 ms',
    'x alone',
    'burst s',
    'failed',
  ];
  return formatTable(
    [{ title: 'TTFT of the calm tenant', align: 'left' }, ...columns.map((title) => ({ title }))],
    rows,
  );
}

function row(name: string, figures: CalmFigures, own: CalmFigures, burstS: string): string[] {
  return [
    name,
    String(figures.requests),
    own.p50Ms.toFixed(0),
    figures.p50Ms.toFixed(0),
    (figures.p50Ms / own.p50Ms).toFixed(2),
    own.p99Ms.toFixed(0),
    figures.p99Ms.toFixed(0),
    (figures.p99Ms / own.p99Ms).toFixed(2),
    burstS,
    String(figures.failed),
  ];
}
