// The burst of PR #1731: 1,024 requests in 64 groups at once over eight simulated engines, through each router.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Random } from '../../src/core/index.ts';
import { difference, prefixHitRate, readPromptTokens } from '../../src/load/engine-counters.ts';
import { completionBody, type LoadRequest } from '../../src/load/load-request.ts';
import { OpenAiClient } from '../../src/load/openai-client.ts';
import { runOpenLoop } from '../../src/load/run-load.ts';
import { formatTable } from '../../src/report/text-table.ts';
import { mockModel } from '../gateway/bodies.ts';
import { type Contender, type EngineAddress, RunningContender } from '../gateway/contender.ts';
import { processFigures } from '../gateway/processor.ts';
import { TextWriter } from '../gateway/texts.ts';
import { quantiles } from '../measure.ts';

export interface BurstOptions {
  readonly engines: number;
  readonly groups: number;
  readonly requestsPerGroup: number;
  /** Words that a group's prompts begin with. */
  readonly sharedWords: number;
  readonly ownWords: number;
  readonly outputTokens: number;
  /** Dist folder of the kvoyant that runs the simulated engines. */
  readonly dist: string;
  readonly seed: number;
}

export const burstOfPr1731: Omit<BurstOptions, 'dist'> = {
  engines: 8,
  groups: 64,
  requestsPerGroup: 16,
  sharedWords: 1700,
  ownWords: 100,
  outputTokens: 100,
  seed: 1731,
};

export interface BurstFigures {
  readonly router: string;
  /** Cached over input tokens, counted by the engines. */
  readonly hitRate: number;
  /** Prompt tokens that the busiest engine had to compute. */
  readonly busiestPrefillTokens: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  readonly failed: number;
  readonly cpuMsPerRequest: number | null;
}

/** Starts engines and the router anew, so that all caches are empty. */
export async function measureBurst(
  contender: Contender,
  words: readonly string[],
  options: BurstOptions,
): Promise<BurstFigures> {
  const { child, addresses } = await startEngines(options);
  let running: RunningContender | null = null;
  let client: OpenAiClient | null = null;
  try {
    running = await RunningContender.start(contender, addresses);
    const counters = () => Promise.all(addresses.map(({ url }) => readPromptTokens(url)));
    const before = await counters();
    const cpuBefore = processFigures(running.pid);
    client = new OpenAiClient(running.url, { connectionsMax: 4096 });
    const records = await runOpenLoop(client, burstRequests(words, options));
    const cpuAfter = processFigures(running.pid);
    const spent = (await counters()).map((after, engine) => difference(after, before[engine]!));
    const times = records.filter(({ firstTokenMs }) => firstTokenMs !== null).map((r) => r.firstTokenMs! - r.startMs);
    const { p50, p99 } = quantiles(Float64Array.from(times));
    const cpuS = cpuBefore === null || cpuAfter === null ? null : cpuAfter.cpuS - cpuBefore.cpuS;
    return {
      router: contender.name,
      hitRate: prefixHitRate(spent),
      busiestPrefillTokens: Math.max(...spent.map(({ computed }) => computed)),
      ttftP50Ms: p50,
      ttftP99Ms: p99,
      failed: records.filter(({ failure }) => failure !== null).length,
      cpuMsPerRequest: cpuS === null ? null : (1000 * cpuS) / records.length,
    };
  } finally {
    await client?.close();
    await running?.stop();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill();
      await once(child, 'exit');
    }
  }
}

export function burstTable(figures: readonly BurstFigures[]): string {
  const titles = ['hit rate', 'busiest prefill tokens', 'TTFT p50 s', 'p99 s', 'CPU ms a request', 'failed'];
  const columns = [{ title: 'router', align: 'left' } as const, ...titles.map((title) => ({ title }))];
  const rows = figures.map((of) => [
    of.router,
    of.hitRate.toFixed(3),
    of.busiestPrefillTokens.toFixed(0),
    (of.ttftP50Ms / 1000).toFixed(2),
    (of.ttftP99Ms / 1000).toFixed(2),
    of.cpuMsPerRequest?.toFixed(2) ?? '?',
    String(of.failed),
  ]);
  return formatTable(columns, rows).join('\n');
}

/** All at once, shuffled. */
export function burstRequests(words: readonly string[], options: BurstOptions): LoadRequest[] {
  const { groups, requestsPerGroup, sharedWords, ownWords, outputTokens, seed } = options;
  const writer = new TextWriter('prose', words, seed);
  const random = new Random(seed);
  const shared = Array.from({ length: groups }, () => writer.write(sharedWords));
  const order = Array.from({ length: groups * requestsPerGroup }, (_, at) => at % groups);
  for (let at = order.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order.map((group, index) => ({
    index,
    arrivalMs: 0,
    path: '/v1/completions',
    body: completionBody(mockModel, `${shared[group]!} ${writer.write(ownWords)}`, outputTokens),
  }));
}

async function startEngines({
  engines,
  dist,
  seed,
}: BurstOptions): Promise<{ readonly child: ChildProcess; readonly addresses: EngineAddress[] }> {
  const flags = ['--count', String(engines), '--port', '0', '--kv-events-port', '0', '--model', mockModel];
  const child = spawn(
    process.execPath,
    [join(dist, 'cli', 'main.js'), 'sim-worker', ...flags, '--seed', String(seed)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const addresses: EngineAddress[] = [];
  for await (const line of createInterface(child.stdout)) {
    const [, url] = /listening on (http:\S+)/.exec(line) ?? [];
    // kvoyant asks the engines where their events are.
    if (url !== undefined) addresses.push({ url, kvEvents: null, kvReplay: null });
    if (addresses.length === engines) break;
  }
  if (addresses.length < engines) throw new Error('the simulated engines did not start');
  child.stdout.resume();
  return { child, addresses };
}
