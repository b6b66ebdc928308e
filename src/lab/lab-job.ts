// Jobs of an experiment and their results, as plain data that threads exchange and the results folder stores.

import { speedUp } from '../trace/arrival-process.ts';
import type { Workload } from '../trace/workload.ts';
import type { RequestLog } from './request-log.ts';
import { rounded } from './run-figures.ts';
import { countGood, type RunResult, resultOf } from './run-result.ts';
import { fromJson, type RunSpecJson } from './run-spec.ts';
import { firstMeasured, simulate } from './simulation.ts';

/** All arrival and think times of the workload are divided by `speed`. */
export type LabJob =
  | { readonly kind: 'run'; readonly spec: RunSpecJson; readonly speed: number }
  /** Counts the good requests. Stops once more than `missesMax` are not good. */
  | { readonly kind: 'probe'; readonly spec: RunSpecJson; readonly speed: number; readonly missesMax: number };

/** Sums over the measured requests. Results of several runs can be added. */
export interface ProbeResult {
  readonly speed: number;
  readonly requests: number;
  readonly measured: number;
  readonly stoppedEarly: boolean;
  /** 0 if the run was stopped early, like the sums. */
  readonly good: number;
  readonly ttftSumMs: number;
  /** From the first to the last measured arrival. */
  readonly spanMs: number;
  /** First and second half of the measured requests, by arrival. */
  readonly halves: readonly [ProbeHalf, ProbeHalf];
}

export interface ProbeHalf {
  readonly done: number;
  readonly e2eMs: number;
  readonly outputTokens: number;
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

function probe({ spec: json, speed, missesMax }: LabJob & { kind: 'probe' }, workload: Workload): ProbeResult {
  const spec = fromJson(json);
  const first = firstMeasured(workload, spec);
  const requests = workload.requests.length;
  const known = { speed, requests, measured: requests - first };
  const { log, stoppedEarly } = simulate(workload, spec, { missesMax });
  if (stoppedEarly) return { ...known, stoppedEarly, good: 0, ttftSumMs: 0, spanMs: 0, halves: [noHalf, noHalf] };
  const middle = first + Math.floor((requests - first) / 2);
  let ttftSumMs = 0;
  for (let index = first; index < requests; index++) if (log.isDone(index)) ttftSumMs += log.ttftMs(index);
  return {
    ...known,
    stoppedEarly,
    good: countGood(workload, spec, log),
    ttftSumMs: rounded(ttftSumMs),
    spanMs: rounded(arrivalSpanMs(log, first)),
    halves: [half(workload, log, first, middle), half(workload, log, middle, requests)],
  };
}

const noHalf: ProbeHalf = { done: 0, e2eMs: 0, outputTokens: 0 };

function half({ requests }: Workload, log: RequestLog, from: number, to: number): ProbeHalf {
  let done = 0;
  let e2eMs = 0;
  let outputTokens = 0;
  for (let index = from; index < to; index++) {
    if (!log.isDone(index)) continue;
    done++;
    e2eMs += log.e2eMs(index);
    outputTokens += requests[index]!.osl;
  }
  return { done, e2eMs: rounded(e2eMs), outputTokens };
}

function arrivalSpanMs(log: RequestLog, from: number): number {
  let firstNs = Number.POSITIVE_INFINITY;
  let lastNs = 0;
  for (let index = from; index < log.count; index++) {
    const ns = log.arrivalNs[index]!;
    if (ns < firstNs) firstNs = ns;
    if (ns > lastNs) lastNs = ns;
  }
  return lastNs > firstNs ? (lastNs - firstNs) / 1e6 : 0;
}
