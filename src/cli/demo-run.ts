// One row of the demo: runs a workload on fresh engines and a fresh gateway, and collects the results.

import { difference, type PromptTokens, prefixHitRate, readPromptTokens } from '../load/engine-counters.ts';
import { completionBody, type LoadRequest } from '../load/load-request.ts';

import { type LoadProgress, runOpenLoop } from '../load/run-load.ts';
import { SpreadClient } from '../load/spread-client.ts';
import { imbalance } from '../report/imbalance.ts';
import { describeFailures, type RunSummary, summarizeRun } from '../report/run-summary.ts';
import type { TextRequest } from '../trace/text-request.ts';
import { type Cluster, type ClusterOptions, startCluster } from './demo-cluster.ts';
import { type Loads, loadsAtRest } from './demo-gateway.ts';
import { type MachineLoad, MachineWatch } from './demo-machine.ts';

const restTimeoutMs = 2000;

/**
 * Warm-up requests. They are shorter than a block and therefore never cached: they warm up code and connections only.
 */
export const warmUpRequests = 256;

export interface RowResult {
  readonly run: RunSummary;
  /** Cached / input tokens, as counted by the engines. */
  readonly prefixHitRate: number;
  /** Prompt tokens that the busiest worker computed. */
  readonly prefillTokensMax: number;
  readonly prefillMaxOverMean: number;
  readonly loadsAfter: Loads;
  readonly machine: MachineLoad;
  /** Failed requests and wrong counts. Empty if all is well. */
  readonly problems: readonly string[];
}

export interface RowOptions extends ClusterOptions {
  readonly requests: readonly TextRequest[];
  readonly signal: AbortSignal;
  readonly onProgress: (progress: LoadProgress) => void;
  /** Waits for what else must be so before the first request. */
  readonly settled?: (cluster: Cluster) => Promise<void>;
}

export async function runRow(options: RowOptions): Promise<RowResult> {
  const cluster = await startCluster(options);
  try {
    await options.settled?.(cluster);
    return await Promise.race([measure(cluster, options), cluster.died]);
  } finally {
    await cluster.stop();
  }
}

async function measure({ gateways, operators, engines, model }: Cluster, options: RowOptions): Promise<RowResult> {
  const client = new SpreadClient(gateways);
  const completion = (index: number, arrivalMs: number, prompt: string, maxTokens: number): LoadRequest => ({
    index,
    arrivalMs: arrivalMs / options.speedup,
    path: '/v1/completions',
    body: completionBody(model, prompt, maxTokens),
  });
  try {
    const warmUp = Array.from({ length: warmUpRequests }, (_, i) => completion(i, 0, `warm-up ${i}`, 2));
    const warmUpProblems = describeFailures(await runOpenLoop(client, warmUp, { signal: options.signal }));
    await loadsOfAll(operators);
    const before = await Promise.all(engines.map(readPromptTokens));
    const requests = options.requests.map((one, i) => completion(i, one.arrivalMs, one.prompt, one.maxTokens));
    const watch = await MachineWatch.start(engines, options.speedup);
    const records = await runOpenLoop(client, requests, options);
    const machine = await watch.end();
    options.signal.throwIfAborted();
    const loadsAfter = await loadsOfAll(operators);
    const after = await Promise.all(engines.map(readPromptTokens));
    const counted = after.map((tokens, i) => difference(tokens, before[i]!));
    const run = summarizeRun(records);
    const spread = imbalance(counted.map(({ computed }) => computed));
    return {
      run,
      prefixHitRate: prefixHitRate(counted),
      prefillTokensMax: spread.max,
      prefillMaxOverMean: spread.maxOverMean,
      loadsAfter,
      machine,
      problems: [
        ...warmUpProblems.map((problem) => `warm-up: ${problem}`),
        ...describeFailures(records),
        ...disagreements(run, counted),
      ],
    };
  } finally {
    await client.close();
  }
}

/** At rest, of every gateway. */
async function loadsOfAll(operators: readonly string[]): Promise<Loads> {
  const all = await Promise.all(operators.map((one) => loadsAtRest(one, restTimeoutMs)));
  return { workers: all.flatMap(({ workers }) => workers) };
}

/** Differences between the usage of the streams and the counters of the engines, which count the same tokens. */
function disagreements(run: RunSummary, engines: readonly PromptTokens[]): string[] {
  // A failed request may or may not be counted by an engine.
  if (run.failed > 0) return [];
  const cached = engines.reduce((sum, engine) => sum + engine.cached, 0);
  const computed = engines.reduce((sum, engine) => sum + engine.computed, 0);
  if (cached === run.cachedTokens && cached + computed === run.promptTokens) return [];
  return [
    `the engines counted ${cached} of ${cached + computed} prompt tokens as cached, ` +
      `the streams report ${run.cachedTokens} of ${run.promptTokens}`,
  ];
}
