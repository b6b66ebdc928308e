// Thread of an experiment: builds the workload of a job, executes the job and returns the result.

import { parentPort } from 'node:worker_threads';
import { executeJob, type LabJob } from '../lab/index.ts';
import type { Workload } from '../trace/workload.ts';
import type { ThreadAnswer, ThreadQuestion } from './lab-threads.ts';
import { buildWorkload, type WorkloadSpec } from './lab-workload.ts';

/** Most recently used workloads to keep: jobs of the seeds of one workload come close together. */
const workloadsMax = 8;
const workloads = new Map<string, Workload>();

async function workloadOf(spec: WorkloadSpec): Promise<Workload> {
  const key = JSON.stringify(spec);
  const workload = workloads.get(key) ?? (await buildWorkload(spec));
  workloads.delete(key);
  workloads.set(key, workload);
  if (workloads.size > workloadsMax) workloads.delete(workloads.keys().next().value!);
  return workload;
}

/** Answers one question. Errors are answers too. */
export async function answer({ id, workload, job }: ThreadQuestion): Promise<ThreadAnswer> {
  try {
    return { id, kind: 'done', result: executeJob<LabJob>(job, await workloadOf(workload)) };
  } catch (error) {
    return { id, kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (question: ThreadQuestion) => {
  void answer(question).then((reply) => parentPort?.postMessage(reply));
});
