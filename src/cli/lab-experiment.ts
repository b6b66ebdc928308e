// Frame of an experiment with many jobs: threads, results folder and progress line.

import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { Progress } from '../report/progress.ts';
import { integer } from './lab-flags.ts';
import { ResultsFolder } from './lab-results.ts';
import { type Execute, LabThreads } from './lab-threads.ts';

export interface ExperimentFlags {
  readonly out: string;
  readonly threads: number;
}

export function addExperimentFlags(command: Command, out: string): Command {
  return command
    .option('--out <folder>', 'folder of results; jobs with a result in it are not run again', out)
    .option('--threads <n>', 'jobs at a time (default: one per core)', integer(1, 1024), availableParallelism());
}

export interface Experiment {
  /** Executes a job, unless its result is in the folder already. */
  readonly execute: Execute;
  readonly folder: ResultsFolder;
  readonly progress: ExperimentProgress;
  /** Number of threads, hence jobs to keep in flight. */
  readonly width: number;
}

/** Opens the folder and the threads while `body` runs. */
export async function withExperiment(
  flags: ExperimentFlags,
  body: (experiment: Experiment) => Promise<void>,
): Promise<void> {
  const threads = new LabThreads(flags.threads);
  const progress = new ExperimentProgress(new Progress(process.stderr, () => performance.now()), () =>
    performance.now(),
  );
  try {
    const folder = await ResultsFolder.open(flags.out, threads.execute);
    const execute: Execute = async (workload, job) => {
      const reusedBefore = folder.reused;
      const result = await folder.execute(workload, job);
      progress.done(`${workload.name}, ${job.spec.policy}`, folder.reused > reusedBefore);
      return result;
    };
    await body({ execute, folder, progress, width: flags.threads });
  } finally {
    progress.clear();
    await threads.close();
  }
}

/** Counts jobs and estimates the remaining time from the jobs executed so far. */
export class ExperimentProgress {
  readonly #line: Progress;
  readonly #now: () => number;
  readonly #startMs: number;
  #expected = 0;
  #done = 0;
  #executed = 0;

  constructor(line: Progress, now: () => number) {
    this.#line = line;
    this.#now = now;
    this.#startMs = now();
  }

  /** Adds expected jobs. Negative if a search has ended early. */
  expect(jobs: number): void {
    this.#expected += jobs;
  }

  done(what: string, reused: boolean): void {
    this.#done++;
    if (!reused) this.#executed++;
    const leftMs = ((this.#now() - this.#startMs) / Math.max(1, this.#executed)) * (this.#expected - this.#done);
    const left = this.#executed === 0 ? '' : `, about ${duration(Math.max(0, leftMs))} left`;
    this.#line.update(`${this.#done} of ${Math.max(this.#done, this.#expected)} jobs${left}: ${what}`);
  }

  clear(): void {
    this.#line.clear();
  }
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** Maps items in order, at most `width` at a time. */
export async function mapWidth<T, R>(
  items: readonly T[],
  width: number,
  map: (item: T, at: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array<R>(items.length);
  let next = 0;
  const stream = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await map(items[at]!, at);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, stream));
  return results;
}
