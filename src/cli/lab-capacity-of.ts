// The highest rate at which a policy meets the SLO on a workload, found probe by probe.

import { CapacitySearch, type ProbeResult, type RunSpec, speedBound, toJson } from '../lab/index.ts';
import type { Workload } from '../trace/workload.ts';
import type { Experiment } from './lab-experiment.ts';
import type { WorkloadSpec } from './lab-workload.ts';

/** Share of good requests that meets the SLO. */
export const goodShareMin = 0.95;

/** Usual number of probes: what progress counts on. */
export const probesExpected = 8;

/** Where searches begin: the share of the bound that policies of the middle field reach. */
const startShare = 0.6;

export interface Capacity {
  /** As a multiple of the workload's own arrivals; 0: no rate met the SLO. */
  readonly speed: number;
  /** No policy is faster for long; infinite where all requests arrive at once. */
  readonly speedBound: number;
  /** Every probe, in order of speed. */
  readonly probes: readonly ProbeResult[];
}

/** @returns null for a workload whose requests all arrive at once: it has no rate */
export async function capacityOf(
  { execute, progress }: Pick<Experiment, 'execute' | 'progress'>,
  workload: Workload,
  workloadSpec: WorkloadSpec,
  spec: RunSpec,
): Promise<Capacity | null> {
  const bound = speedBound(workload, spec);
  if (!Number.isFinite(bound)) {
    progress.expect(-probesExpected);
    return null;
  }
  const search = new CapacitySearch(bound * startShare);
  const probes: ProbeResult[] = [];
  for (let speed = search.next; speed !== null; speed = search.next) {
    const probe = await execute(workloadSpec, { kind: 'probe', spec: toJson(spec), speed, goodShareMin });
    search.tell(probe.met);
    probes.push(probe);
  }
  progress.expect(probes.length - probesExpected);
  return { speed: search.capacity, speedBound: bound, probes: probes.sort((a, b) => a.speed - b.speed) };
}
