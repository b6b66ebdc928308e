// Thread pool: executes jobs in order, one per thread at a time.

import { Worker } from 'node:worker_threads';
import type { JobResult, LabJob } from '../lab/index.ts';
import type { WorkloadSpec } from './lab-workload.ts';

export interface ThreadQuestion {
  readonly id: number;
  readonly workload: WorkloadSpec;
  readonly job: LabJob;
}

export type ThreadAnswer =
  | { readonly id: number; readonly kind: 'done'; readonly result: JobResult<LabJob> }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string };

/** Executes a job. Rejects with its error. */
export type Execute = <Job extends LabJob>(workload: WorkloadSpec, job: Job) => Promise<JobResult<Job>>;

interface Task {
  readonly question: ThreadQuestion;
  resolve(result: JobResult<LabJob>): void;
  reject(error: Error): void;
}

/** Under vitest the threads run the compiled module, because Node 20 runs no TypeScript. `npm test` builds first. */
const entry: URL = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/cli/lab-thread.js' : './lab-thread.js',
  import.meta.url,
);

export class LabThreads {
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #running = new Map<Worker, Task>();
  readonly #queue: Task[] = [];
  #asked = 0;

  constructor(count: number) {
    for (let i = 0; i < count; i++) this.#start();
  }

  execute: Execute = async <Job extends LabJob>(workload: WorkloadSpec, job: Job) => {
    const result = await new Promise<JobResult<LabJob>>((resolve, reject) => {
      this.#queue.push({ question: { id: this.#asked++, workload, job }, resolve, reject });
      this.#next();
    });
    return result as JobResult<Job>;
  };

  /** Terminates the threads and abandons unfinished jobs. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }

  #start(): void {
    const worker = new Worker(entry);
    worker.on('message', (reply: ThreadAnswer) => {
      const task = this.#running.get(worker);
      this.#running.delete(worker);
      this.#idle.push(worker);
      this.#next();
      if (reply.kind === 'done') task?.resolve(reply.result);
      else task?.reject(new Error(reply.message));
    });
    worker.on('error', (error: Error) => {
      // Errors of a job are caught, so this error has ended the thread (out of memory).
      this.#running.get(worker)?.reject(error);
      this.#running.delete(worker);
      this.#all.splice(this.#all.indexOf(worker), 1);
      this.#start();
    });
    this.#all.push(worker);
    this.#idle.push(worker);
    this.#next();
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop()!;
      const task = this.#queue.shift()!;
      this.#running.set(worker, task);
      worker.postMessage(task.question);
    }
  }
}
