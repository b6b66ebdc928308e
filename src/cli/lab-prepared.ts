// Workloads of an experiment with all seeds, read once before anything is written or run.

import type { PolicySpec, RunSpec } from '../lab/index.ts';
import type { SeededRun } from './lab-capacity-of.ts';
import { type ClusterFlags, runSpec } from './lab-cluster-flags.ts';
import { type TokenizerFlag, type WorkloadFlags, workloadSpec } from './lab-flags.ts';
import { buildWorkload, findWorkload, ownRatePerS, type WorkloadSpec } from './lab-workload.ts';

export interface PreparedWorkload {
  readonly name: string;
  /** One per seed. */
  readonly seeds: readonly WorkloadSpec[];
  /** KV capacity that the workload was studied with. */
  readonly kvTokensPerWorker: number | undefined;
  /** Rate of the first seed. Null if all requests arrive at once. */
  readonly ownRatePerS: number | null;
  readonly recorded: boolean;
}

type ReadFlags = WorkloadFlags & TokenizerFlag & { readonly seeds: readonly number[] };

/** @throws LabError or TraceError if a workload is missing or invalid */
export async function prepareWorkloads(names: readonly string[], flags: ReadFlags): Promise<PreparedWorkload[]> {
  const prepared: PreparedWorkload[] = [];
  for (const name of names) {
    const found = await findWorkload(name);
    const seeds = flags.seeds.map((seed) => workloadSpec(found, flags, seed, { kind: 'own' }));
    const workload = await buildWorkload(seeds[0]!);
    const { kvTokensPerWorker, recorded = false } = workload;
    prepared.push({ name: found.name, seeds, kvTokensPerWorker, ownRatePerS: ownRatePerS(workload), recorded });
  }
  return prepared;
}

/** Run specs of a policy, one per seed. */
export function seededRuns(
  { seeds, kvTokensPerWorker }: PreparedWorkload,
  policy: PolicySpec,
  flags: ClusterFlags,
): SeededRun[] {
  return seeds.map((workload) => {
    const spec: RunSpec = runSpec(flags, policy, workload.seed, kvTokensPerWorker);
    return { workload, spec };
  });
}
