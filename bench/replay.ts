// Bench of the lab's speed on a trace: `npm run bench:replay -- [FILE] [POLICY..]`.

import { createHash } from 'node:crypto';
import { parsePolicySpec, type RunResult, resultOf, runSpecDefaults, simulate } from '../src/lab/index.ts';
import { generateWorkload } from '../src/trace/generate-workload.ts';
import { readWorkload } from '../src/trace/read-workload.ts';
import type { Workload } from '../src/trace/workload.ts';
import { environment } from './measure.ts';

/** Times one simulation with 8 workers. */
export function timeReplay(
  workload: Workload,
  policy: string,
): { readonly result: RunResult; readonly seconds: number; readonly cpuSeconds: number } {
  const kvTokens = workload.kvTokensPerWorker ?? runSpecDefaults.kvTokens;
  const spec = { ...runSpecDefaults, policy: parsePolicySpec(policy), kvTokens };
  const cpu = process.cpuUsage();
  const startNs = process.hrtime.bigint();
  const result = resultOf(workload, spec, simulate(workload, spec));
  const seconds = Number(process.hrtime.bigint() - startNs) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  return { result, seconds, cpuSeconds: (user + system) / 1e6 };
}

/** Uses 8 workers with the workload's KV capacity. Prints one line per policy, with a checksum of its figures. */
export function benchReplay(workload: Workload, policies: readonly string[]): void {
  const { name, requests } = workload;
  const blocks = requests.reduce((sum, { isl }) => sum + Math.floor(isl / runSpecDefaults.blockSize), 0);
  console.log(`${name}: ${requests.length} requests, ${blocks} prompt blocks; ${environment()}`);
  console.log(`${'policy'.padEnd(24)} ${['seconds', 'RSS, MiB', 'hit rate', 'TTFT, s'].join('  ')}  checksum`);
  for (const text of policies) {
    const { result, seconds } = timeReplay(workload, text);
    const figures = [
      seconds.toFixed(2).padStart(7),
      (process.memoryUsage.rss() / 2 ** 20).toFixed(0).padStart(8),
      (result.cache.hitRate ?? Number.NaN).toFixed(3).padStart(8),
      ((result.measured.ttftMs.mean ?? Number.NaN) / 1000).toFixed(3).padStart(7),
      createHash('sha256').update(JSON.stringify(result)).digest('hex').slice(0, 8),
    ];
    console.log(`${text.padEnd(24)} ${figures.join('  ')}`);
  }
}

/** @param path a trace; default: 3,000 requests of a built-in workload */
export async function workloadToReplay(path: string | undefined): Promise<Workload> {
  return path === undefined ? generateWorkload('tool-like', 1) : await readWorkload(path);
}
