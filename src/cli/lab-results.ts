// Results folder: finished jobs are not executed again, so an interrupted experiment resumes.

import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobResult, LabJob } from '../lab/index.ts';
import type { Execute } from './lab-threads.ts';
import type { WorkloadSpec } from './lab-workload.ts';

/** Increment when a change of the lab makes old results of a kind incomparable. */
const versions: Readonly<Record<LabJob['kind'], number>> = { run: 3, probe: 2 };

interface Stored {
  readonly version: number;
  readonly workload: WorkloadSpec;
  readonly job: LabJob;
  readonly result: JobResult<LabJob>;
}

export class ResultsFolder {
  readonly #path: string;
  readonly #execute: Execute;
  #reused = 0;
  #written = 0;

  private constructor(path: string, execute: Execute) {
    this.#path = path;
    this.#execute = execute;
  }

  static async open(path: string, execute: Execute): Promise<ResultsFolder> {
    await mkdir(join(path, 'jobs'), { recursive: true });
    return new ResultsFolder(path, execute);
  }

  /** Jobs whose result was in the folder. */
  get reused(): number {
    return this.#reused;
  }

  get written(): number {
    return this.#written;
  }

  /** The result of a job, from the folder if it exists. */
  execute: Execute = async <Job extends LabJob>(workload: WorkloadSpec, job: Job) => {
    const version = versions[job.kind];
    const key = JSON.stringify({ version, workload, job });
    const digest = createHash('sha256').update(key).digest('hex').slice(0, 16);
    const file = join(this.#path, 'jobs', `${job.kind}-${slug(workload.name)}-${slug(job.spec.policy)}-${digest}.json`);
    const stored = await readStored(file, key);
    if (stored !== null) {
      this.#reused++;
      return stored as JobResult<Job>;
    }
    const result: JobResult<Job> = await this.#execute<Job>(workload, job);
    await this.#write(file, JSON.stringify({ version, workload, job, result }));
    this.#written++;
    return result;
  };

  /** Writes a file beside the jobs, atomically. @returns its path */
  async write(name: string, content: string): Promise<string> {
    const file = join(this.#path, name);
    await this.#write(file, content);
    return file;
  }

  async #write(file: string, content: string): Promise<void> {
    const draft = `${file}.${process.pid}.part`;
    await writeFile(draft, content);
    await rename(draft, file);
  }
}

/** The stored result. Null if it is missing, incomplete or of another job. */
async function readStored(file: string, key: string): Promise<JobResult<LabJob> | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  const stored = parsed(text);
  if (stored === null) return null;
  const found = JSON.stringify({ version: stored.version, workload: stored.workload, job: stored.job });
  return found === key ? stored.result : null;
}

/** Parses a stored result. A damaged file counts as missing, so the job is executed again. */
function parsed(text: string): Stored | null {
  try {
    return JSON.parse(text) as Stored;
  } catch {
    return null;
  }
}

function slug(text: string): string {
  return text.replace(/[^a-zA-Z0-9.]+/g, '-').slice(0, 60);
}
