// Probes /health every 50 ms from a separate process, so that the test's own work does not delay it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface ProbeFigures {
  readonly count: number;
  readonly failures: number;
  readonly p99Ms: number;
}

const program = join(import.meta.dirname, 'health-prober.mjs');

/** Probes while `work` runs. */
export async function whileProbing<T>(
  url: string,
  work: () => Promise<T>,
): Promise<{ result: T; probes: ProbeFigures }> {
  const child = spawn(process.execPath, [program, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let said = '';
  child.stdout.on('data', (data: Buffer) => {
    said += data.toString('utf8');
  });
  await once(child.stdout, 'data');
  try {
    const result = await work();
    child.kill('SIGTERM');
    await exited;
    return { result, probes: JSON.parse(said.slice(said.indexOf('{'))) as ProbeFigures };
  } finally {
    child.kill('SIGKILL');
  }
}
