// Bench of the speed model over sockets: predicted against actual TTFT of a whole gateway before simulated engines in
// real time.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Random } from '../src/core/index.ts';
import { startGateway } from '../src/gateway/index.ts';
import type { LoadRequest } from '../src/load/load-request.ts';
import { OpenAiClient } from '../src/load/openai-client.ts';
import { runOpenLoop } from '../src/load/run-load.ts';
import { startSimWorkers } from '../src/worker/index.ts';

export interface PredictionBenchOptions {
  readonly policy: 'foresee' | 'kv';
  readonly workers: number;
  /** Factor by which engines are faster than real ones. */
  readonly speedup: number;
  readonly requests: number;
  /** The first requests: the model learns from them, and the figures exclude them. */
  readonly warmUpRequests: number;
  readonly ratePerS: number;
  readonly outputTokens: number;
  readonly seed: number;
}

export interface PredictionFigures {
  /** Requests in the figures. */
  readonly compared: number;
  readonly failed: number;
  /** Mean of |predicted - actual| / actual. */
  readonly mape: number;
  /** Mean of (predicted - actual) / actual. */
  readonly bias: number;
  /** Median of |predicted - actual| / actual. */
  readonly medianError: number;
  readonly meanTtftMs: number;
  /** Delay of this process's event loop, which is part of the actual times. */
  readonly loopDelayP99Ms: number;
}

const model = 'sim-prediction-bench';
/** Shared beginnings of the prompts. */
const prefixCount = 24;
const prefixTokens = 1024;

interface Made {
  readonly timeMs: number;
  readonly predictedTtftMs: number | null;
  readonly choiceToFirstTokenMs: number | null;
}

/** Poisson arrivals of prompts between 1,050 and 4,000 tokens, each with one of a few shared beginnings. */
export async function measurePrediction(options: PredictionBenchOptions): Promise<PredictionFigures> {
  const { policy, workers: count, speedup, requests, warmUpRequests } = options;
  const fleet = await startSimWorkers({ count, port: 0, kvEventsPort: 0, model, speedup });
  const gateway = await startGateway({
    workers: fleet.workers.map(({ url }) => url),
    port: 0,
    policy,
    canary: false,
    logLevel: 'silent',
    decisionsMax: requests,
  });
  const client = new OpenAiClient(gateway.url);
  try {
    await gateway.whenReady(20_000, count);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const records = await runOpenLoop(client, requestsOf(options));
    delay.disable();
    const answer = await fetch(`${gateway.adminUrl}/decisions`);
    const { decisions } = (await answer.json()) as { decisions: readonly Made[] };
    const pairs = decisions
      .toReversed()
      .slice(warmUpRequests)
      .flatMap(({ predictedTtftMs: predicted, choiceToFirstTokenMs: actual }) =>
        predicted === null || actual === null ? [] : [{ predicted, actual }],
      );
    return {
      ...figuresOf(pairs),
      failed: records.filter(({ failure }) => failure !== null).length,
      loopDelayP99Ms: delay.percentile(99) / 1e6,
    };
  } finally {
    await client.close();
    await gateway.close();
    await fleet.close();
  }
}

/** @param pairs times in ms */
export function figuresOf(
  pairs: readonly { readonly predicted: number; readonly actual: number }[],
): Omit<PredictionFigures, 'failed' | 'loopDelayP99Ms'> {
  const errors = pairs.map(({ predicted, actual }) => (predicted - actual) / actual);
  const sizes = errors.map(Math.abs).sort((a, b) => a - b);
  return {
    compared: pairs.length,
    mape: mean(sizes),
    bias: mean(errors),
    medianError: sizes[Math.floor(sizes.length / 2)] ?? Number.NaN,
    meanTtftMs: mean(pairs.map(({ actual }) => actual)),
  };
}

function requestsOf({ requests, ratePerS, outputTokens, seed }: PredictionBenchOptions): LoadRequest[] {
  const random = new Random(seed);
  let arrivalMs = 0;
  return Array.from({ length: requests }, (_, index) => {
    arrivalMs += (-Math.log(1 - random.float()) / ratePerS) * 1000;
    const prefix = random.below(prefixCount);
    const own = 26 + random.below(2950);
    const prompt = Array.from({ length: prefixTokens + own }, (_, i) =>
      i < prefixTokens ? (prefix * 1031 + i * 7) % 50_000 : random.below(50_000),
    );
    const body = JSON.stringify({ model, prompt, max_tokens: outputTokens, ignore_eos: true, stream: true });
    return { index, arrivalMs, path: '/v1/completions', body };
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
