// Bench of a burst over sockets: the time to first token of a tenant alone, and beside the burst of another, through a whole
// gateway before simulated engines in real time.
//
// One run has both: the calm tenant is alone until the burst arrives, and goes on until the burst has been served. Client,
// gateway and engines share one event loop, so the bench also measures how busy that was: where it waits for itself, the
// figures are those of the machine.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Random } from '../src/core/index.ts';
import { startGateway } from '../src/gateway/index.ts';
import type { LoadRequest } from '../src/load/load-request.ts';
import { OpenAiClient } from '../src/load/openai-client.ts';
import { type LoadProgress, runOpenLoop } from '../src/load/run-load.ts';
import type { RequestRecord } from '../src/report/request-record.ts';
import { quantile } from '../src/report/summary.ts';
import { startSimWorkers } from '../src/worker/index.ts';

export interface TenantBenchOptions {
  readonly workers: number;
  /** Factor by which engines are faster than real ones. */
  readonly speedup: number;
  /** Requests of the calm tenant per second. */
  readonly ratePerS: number;
  /** Before the first request that is compared, and from there to the burst. */
  readonly warmUpS: number;
  readonly aloneS: number;
  /** Requests of the other tenant, all at once. */
  readonly burst: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly tenantReserveS: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

export interface PhaseFigures {
  /** Requests of the calm tenant that arrived in it. */
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Share of the time in which the event loop was busy. */
  readonly loopBusyShare: number;
  /** Lateness of timers: the event loop was held, or the machine had no free processor. */
  readonly heldP50Ms: number;
  readonly heldP99Ms: number;
}

export interface TenantFigures {
  readonly alone: PhaseFigures;
  readonly beside: PhaseFigures;
  readonly failed: number;
  /** From the burst to the last first token of its requests. */
  readonly burstS: number;
}

const model = 'sim-tenants-bench';
/** Of the calm tenant in one run. */
const calmRequestsMax = 20_000;
const keys = { calm: 'calm-key-0000000000001', burst: 'burst-key-000000000001' } as const;
const tickMs = 1;

export async function measureTenants(options: TenantBenchOptions): Promise<TenantFigures> {
  const { workers: count, speedup, tenantReserveS, onProgress } = options;
  const fleet = await startSimWorkers({ count, port: 0, kvEventsPort: 0, model, speedup });
  const gateway = await startGateway({
    workers: fleet.workers.map(({ url }) => url),
    port: 0,
    canary: false,
    logLevel: 'silent',
    lateBinding: true,
    tenantReserveS,
    queueWaitMsMax: 3_600_000,
    tenants: ['calm', 'burst'],
    apiKeys: [
      { name: 'calm-key', key: keys.calm, tenant: 'calm' },
      { name: 'burst-key', key: keys.burst, tenant: 'burst' },
    ],
  });
  const clientOf = (key: string): OpenAiClient => {
    const headers = { authorization: `Bearer ${key}` };
    return new OpenAiClient(gateway.url, { headers, requestTimeoutMs: 3_600_000, connectionsMax: 4096 });
  };
  const clients = { calm: clientOf(keys.calm), burst: clientOf(keys.burst) };
  const stop = new AbortController();
  const { signal } = stop;
  try {
    await gateway.whenReady(20_000, count);
    const calmRequests = calmRequestsOf(options);
    const burstRequests = burstOf(options, options.aloneS * 1000);
    const startMs = performance.now();
    const calm = runOpenLoop(clients.calm, calmRequests, {
      signal,
      onProgress: ({ done }) => onProgress?.(`${secondsSince(startMs)}: ${done} answers of the calm tenant`),
    });
    const watch = new LoopPhases();
    await sleep(options.warmUpS * 1000);
    watch.begin();
    const comparedMs = performance.now();
    const burstMs = comparedMs + options.aloneS * 1000;
    const others = runOpenLoop(clients.burst, burstRequests, {
      signal,
      onProgress: (progress) => onProgress?.(`${secondsSince(startMs)}: burst: ${burstLine(progress)}`),
    });
    await sleep(burstMs - performance.now());
    const aloneLoop = watch.next();
    const burst = await others;
    const besideLoop = watch.next();
    stop.abort();
    const calmRecords = await calm;
    const endMs = Math.max(...burst.map(({ firstTokenMs }) => firstTokenMs ?? 0));
    const arrived = (fromMs: number, toMs: number): readonly RequestRecord[] =>
      calmRecords.filter((one) => one.startMs >= fromMs && one.startMs < toMs);
    return {
      alone: { ...ttftOf(arrived(comparedMs, burstMs)), ...aloneLoop },
      beside: { ...ttftOf(arrived(burstMs, endMs)), ...besideLoop },
      failed: [...calmRecords, ...burst].filter(({ failure }) => failure !== null && failure.kind !== 'aborted').length,
      burstS: (endMs - burstMs) / 1000,
    };
  } finally {
    stop.abort();
    await Promise.all([clients.calm.close(), clients.burst.close()]);
    await gateway.close();
    await fleet.close();
  }
}

type LoopFigures = Pick<PhaseFigures, 'loopBusyShare' | 'heldP50Ms' | 'heldP99Ms'>;

/** How busy the event loop is in one phase after the other. */
class LoopPhases {
  #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: tickMs });
  #before = performance.eventLoopUtilization();

  begin(): void {
    this.#before = performance.eventLoopUtilization();
    this.#delays = monitorEventLoopDelay({ resolution: tickMs });
    this.#delays.enable();
  }

  /** Of the phase that ends; another begins. */
  next(): LoopFigures {
    this.#delays.disable();
    const delays = this.#delays;
    const heldMs = (percentile: number): number => Math.max(0, delays.percentile(percentile) / 1e6 - tickMs);
    const { utilization } = performance.eventLoopUtilization(this.#before);
    this.begin();
    return { loopBusyShare: utilization, heldP50Ms: heldMs(50), heldP99Ms: heldMs(99) };
  }
}

/** A request that has no first token when the run ends counts as the slowest of all. */
function ttftOf(records: readonly RequestRecord[]): Pick<PhaseFigures, 'requests' | 'p50Ms' | 'p99Ms'> {
  const ttfts = Float64Array.from(records, ({ firstTokenMs, startMs }) => (firstTokenMs ?? Infinity) - startMs).sort();
  return { requests: records.length, p50Ms: quantile(ttfts, 0.5), p99Ms: quantile(ttfts, 0.99) };
}

function burstLine({ done, total }: LoadProgress): string {
  return `${done} of ${total} answers`;
}

function secondsSince(startMs: number): string {
  return `${((performance.now() - startMs) / 1000).toFixed(0)} s`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** Poisson arrivals. */
function calmRequestsOf(options: TenantBenchOptions): LoadRequest[] {
  const random = new Random(options.seed);
  let arrivalMs = 0;
  return Array.from({ length: calmRequestsMax }, (_, index) => {
    arrivalMs += (-Math.log(1 - random.float()) / options.ratePerS) * 1000;
    return { index, arrivalMs, path: '/v1/completions', body: '' };
  }).map((request) => withBody(request, options));
}

/**
 * Their bodies are made now, so that the burst costs the client little when it begins.
 * @param arrivalMs from now
 */
function burstOf(options: TenantBenchOptions, arrivalMs: number): LoadRequest[] {
  return Array.from({ length: options.burst }, (_, index) => {
    return { ...withBody({ index: 1_000_000 + index, arrivalMs, path: '/v1/completions', body: '' }, options) };
  });
}

/** Prompts share nothing; the body is made when it is asked for. */
function withBody(request: LoadRequest, { promptTokens, outputTokens }: TenantBenchOptions): LoadRequest {
  return {
    ...request,
    get body() {
      const random = new Random(request.index + 1);
      const prompt = Array.from({ length: promptTokens }, () => random.below(50_000));
      return JSON.stringify({ model, prompt, max_tokens: outputTokens, ignore_eos: true, stream: true });
    },
  };
}
