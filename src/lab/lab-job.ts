// One piece of work of an experiment, as data in and data out: what a thread gets and what a results folder keeps.

import { speedUp } from '../trace/arrival-process.ts';
import type { Workload } from '../trace/workload.ts';
import { countGood, type RunResult, resultOf } from './run-result.ts';
import { fromJson, type RunSpecJson } from './run-spec.ts';
import { firstMeasured, simulate } from './simulation.ts';

/** Arrivals and think times pass `speed` times as fast as in the workload. */
export type LabJob =
  | { readonly kind: 'run'; readonly spec: RunSpecJson; readonly speed: number }
  /** Is the SLO met? Stopped as soon as it cannot be any more. */
  | { readonly kind: 'probe'; readonly spec: RunSpecJson; readonly speed: number; readonly goodShareMin: number };

export interface ProbeResult {
  readonly speed: number;
  readonly met: boolean;
  /** Of the measured requests; null where the run was stopped early. */
  readonly goodShare: number | null;
  readonly ttftMeanMs: number | null;
}

export type JobResult<Job extends LabJob> = Job['kind'] extends 'run' ? RunResult : ProbeResult;

export function executeJob<Job extends LabJob>(job: Job, workload: Workload): JobResult<Job> {
  const sped = job.speed === 1 ? workload : speedUp(workload, job.speed);
  return (job.kind === 'run' ? run(job.spec, sped) : probe(job, sped)) as JobResult<Job>;
}

function run(json: RunSpecJson, workload: Workload): RunResult {
  const spec = fromJson(json);
  return resultOf(workload, spec, simulate(workload, spec));
}

function probe(job: LabJob & { kind: 'probe' }, workload: Workload): ProbeResult {
  const spec = fromJson(job.spec);
  const first = firstMeasured(workload, spec);
  const count = workload.requests.length - first;
  const missesMax = Math.floor(count * (1 - job.goodShareMin));
  const { log, stoppedEarly } = simulate(workload, spec, { missesMax });
  if (stoppedEarly) return { speed: job.speed, met: false, goodShare: null, ttftMeanMs: null };
  const good = countGood(workload, spec, log);
  let sumMs = 0;
  let done = 0;
  for (let index = first; index < log.count; index++) {
    if (!log.isDone(index)) continue;
    sumMs += log.ttftMs(index);
    done++;
  }
  return { speed: job.speed, met: good >= count - missesMax, goodShare: good / count, ttftMeanMs: sumMs / done };
}
