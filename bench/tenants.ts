// Bench of a burst over sockets: the time to first token of a tenant alone, and beside the burst of another, through a whole
// gateway before simulated engines in real time.

import { Random } from '../src/core/index.ts';
import { startGateway } from '../src/gateway/index.ts';
import type { LoadRequest } from '../src/load/load-request.ts';
import { OpenAiClient } from '../src/load/openai-client.ts';
import { runOpenLoop } from '../src/load/run-load.ts';
import type { RequestRecord } from '../src/report/request-record.ts';
import { quantile } from '../src/report/summary.ts';
import { startSimWorkers } from '../src/worker/index.ts';

export interface TenantBenchOptions {
  readonly workers: number;
  /** Factor by which engines are faster than real ones. */
  readonly speedup: number;
  /** Requests of the calm tenant before the burst, and their rate. */
  readonly warmUpRequests: number;
  readonly ratePerS: number;
  /** Requests of the other tenant, all at once. */
  readonly burst: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly tenantReserveS: number;
  readonly seed: number;
}

export interface TenantFigures {
  /** Requests of the calm tenant that arrived while the burst waited. */
  readonly compared: number;
  readonly failed: number;
  readonly aloneP50Ms: number;
  readonly besideP50Ms: number;
  /** From the burst to the last first token of its requests. */
  readonly burstS: number;
}

const model = 'sim-tenants-bench';
/** Of the calm tenant in one run. */
const calmRequestsMax = 20_000;
const keys = { calm: 'calm-key-0000000000001', burst: 'burst-key-000000000001' } as const;

export async function measureTenants(options: TenantBenchOptions): Promise<TenantFigures> {
  const burstAtMs = (options.warmUpRequests / options.ratePerS) * 1000;
  // The calm tenant goes on until the burst has been served.
  const beside = await runTenants(options, options.burst);
  const lastMs = Math.max(
    ...beside.burst.map(({ firstTokenMs, startMs }) => (firstTokenMs ?? startMs) - beside.startMs),
  );
  const alone = await runTenants(options, 0, beside.calm.length);
  const during = (records: readonly RequestRecord[], startMs: number): readonly RequestRecord[] =>
    records.filter((one) => one.startMs - startMs >= burstAtMs && one.startMs - startMs <= lastMs);
  const compared = during(beside.calm, beside.startMs);
  return {
    compared: compared.length,
    failed: [...beside.calm, ...beside.burst, ...alone.calm].filter(({ failure }) => failure !== null).length,
    aloneP50Ms: medianTtftMs(during(alone.calm, alone.startMs)),
    besideP50Ms: medianTtftMs(compared),
    burstS: (lastMs - burstAtMs) / 1000,
  };
}

interface Run {
  readonly startMs: number;
  readonly calm: readonly RequestRecord[];
  readonly burst: readonly RequestRecord[];
}

/** @param calmRequests of the calm tenant; default: as many as arrive until the burst has been served */
async function runTenants(options: TenantBenchOptions, burst: number, calmRequests?: number): Promise<Run> {
  const { workers: count, speedup, tenantReserveS } = options;
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
  try {
    await gateway.whenReady(20_000, count);
    const startMs = performance.now();
    const stop = new AbortController();
    const requests = calmRequestsOf(options, calmRequests ?? calmRequestsMax);
    const calm = runOpenLoop(clients.calm, requests, { signal: stop.signal });
    const others = await runOpenLoop(clients.burst, burstOf(options, burst));
    if (calmRequests === undefined) stop.abort();
    const records = (await calm).filter(({ failure }) => failure?.kind !== 'aborted');
    return { startMs, calm: records, burst: others };
  } finally {
    await Promise.all([clients.calm.close(), clients.burst.close()]);
    await gateway.close();
    await fleet.close();
  }
}

/** Poisson arrivals. */
function calmRequestsOf(options: TenantBenchOptions, requests: number): LoadRequest[] {
  const random = new Random(options.seed);
  let arrivalMs = 0;
  return Array.from({ length: requests }, (_, index) => {
    arrivalMs += (-Math.log(1 - random.float()) / options.ratePerS) * 1000;
    return { index, arrivalMs, path: '/v1/completions', body: '' };
  }).map((request) => withBody(request, options));
}

function burstOf(options: TenantBenchOptions, requests: number): LoadRequest[] {
  const arrivalMs = (options.warmUpRequests / options.ratePerS) * 1000;
  return Array.from({ length: requests }, (_, index) => {
    return withBody({ index: 1_000_000 + index, arrivalMs, path: '/v1/completions', body: '' }, options);
  });
}

/** Prompts share nothing; the body is made when it is sent. */
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

function medianTtftMs(records: readonly RequestRecord[]): number {
  const ttfts = records.flatMap(({ firstTokenMs, startMs }) => (firstTokenMs === null ? [] : [firstTokenMs - startMs]));
  return quantile(Float64Array.from(ttfts).sort(), 0.5);
}
