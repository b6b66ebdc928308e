// `kvoyant lab stats`: prints the statistics of a trace or built-in workload.

import { Command } from 'commander';
import { type Column, formatNumber, formatTable } from '../report/text-table.ts';
import { TokenizerError } from '../tokens/tokenizer.ts';
import { jitterArrivals } from '../trace/arrival-process.ts';
import {
  generatedKvTokensPerWorker,
  generateWorkload,
  isWorkloadName,
  workloadNames,
  workloadNotes,
} from '../trace/generate-workload.ts';
import { readWorkload } from '../trace/read-workload.ts';
import { type Spread, type WorkloadStatistics, workloadStatistics } from '../trace/statistics.ts';
import { TraceError } from '../trace/trace-error.ts';
import type { Workload } from '../trace/workload.ts';
import { addHelpNotes } from './help-layout.ts';
import { addWorkloadFlags, integer, type WorkloadFlags } from './lab-flags.ts';
import { TokenizerOnDemand } from './lab-tokenizer.ts';

interface Flags extends WorkloadFlags {
  readonly seed: number;
  readonly workers: number;
  readonly kvTokens?: number;
  readonly tokenizer: string;
}

export function labStatsCommand(): Command {
  const command = new Command('stats')
    .description('lengths, arrivals and hit-rate ceilings of a trace file, a folder of them, or a shipped workload')
    .argument('<workload>', `a path, or one of ${workloadNames.join(', ')}`)
    .option('--workers <n>', 'workers whose caches make up the pooled cache', integer(1, 100_000), 8)
    .option(
      '--kv-tokens <n>',
      'KV capacity of a worker (default: the one that the workload was studied with)',
      integer(16, 1e9),
    )
    .option(
      '--seed <n>',
      'seed of generated requests, the jitter, and values missing in a trace',
      integer(0, 4_294_967_295),
      1,
    )
    .option('--tokenizer <spec>', 'for traces of raw text: builtin, or the path of a tokenizer.json', 'builtin');
  const notes = Object.entries(workloadNotes).map(([name, note]) => `${name}: ${note}.`);
  return addHelpNotes(addWorkloadFlags(command), { notes }).action(async (nameOrPath: string, flags: Flags) => {
    try {
      const workload = await load(nameOrPath, flags);
      const kvTokens = flags.kvTokens ?? workload.kvTokensPerWorker ?? generatedKvTokensPerWorker;
      const statistics = workloadStatistics(workload, flags.workers * kvTokens);
      const pool = `${flags.workers} x ${formatNumber(kvTokens)} tokens`;
      console.log([workload.name, ...workload.notes, '', ...describe(statistics, pool)].join('\n'));
    } catch (error) {
      if (error instanceof TraceError && error.code === 'trace-unreadable') {
        command.error(`error: ${error.message}\nshipped workloads: ${workloadNames.join(', ')}`);
      }
      if (error instanceof TraceError || error instanceof TokenizerError) command.error(`error: ${error.message}`);
      throw error;
    }
  });
}

async function load(nameOrPath: string, flags: Flags): Promise<Workload> {
  const { seed, requests, jitterMs, traceBlock } = flags;
  if (isWorkloadName(nameOrPath)) {
    const workload = generateWorkload(nameOrPath, seed, requests === undefined ? {} : { requests });
    return jitterMs === 0 ? workload : jitterArrivals(workload, jitterMs, seed);
  }
  const tokenizer = new TokenizerOnDemand(flags.tokenizer);
  try {
    return await readWorkload(nameOrPath, {
      seed,
      tokenizer,
      ...(requests === undefined ? {} : { requests }),
      ...(jitterMs === 0 ? {} : { jitterMs }),
      ...(traceBlock === undefined ? {} : { blockTokens: traceBlock }),
    });
  } finally {
    await tokenizer.close();
  }
}

/** @param pool description of the pooled cache */
export function describe(statistics: WorkloadStatistics, pool: string): string[] {
  const spreads = [
    row('ISL, tokens', statistics.islTokens),
    row('OSL, tokens', statistics.oslTokens),
    row('inter-arrival, ms', statistics.interArrivalMs, 1),
  ];
  const facts = [
    ['requests', formatNumber(statistics.requests)],
    ['sessions', formatNumber(statistics.sessions)],
    ['closed-loop requests', formatNumber(statistics.closedLoopRequests)],
    ['span, s', formatNumber(statistics.spanMs / 1000, 1)],
    ['rate, requests/s', formatNumber(statistics.ratePerS, 2)],
    ['content block, tokens', formatNumber(statistics.contentBlockTokens)],
    ['prompt tokens', formatNumber(statistics.promptTokens)],
    ['unique prompt tokens', formatNumber(statistics.uniqueTokens)],
    ['hit-rate ceiling, infinite cache', formatNumber(statistics.infiniteCacheHitRate, 3)],
    ['... of the second half', formatNumber(statistics.infiniteCacheHitRateSecondHalf, 3)],
    [`hit rate, pooled LRU of ${pool}`, formatNumber(statistics.pooledLruHitRate, 3)],
  ];
  return [...formatTable(spreadColumns, spreads), '', ...formatTable(factColumns, facts)];
}

const spreadColumns: readonly Column[] = [
  { title: 'each request', align: 'left' },
  ...['mean', 'p50', 'p99', 'max', 'CV'].map((title) => ({ title })),
];

const factColumns: readonly Column[] = [{ title: 'all requests', align: 'left' }, { title: 'value' }];

function row(title: string, { mean, p50, p99, max, cv }: Spread, digits = 0): string[] {
  return [title, ...[mean, p50, p99, max].map((value) => formatNumber(value, digits)), formatNumber(cv, 2)];
}
