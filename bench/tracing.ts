// What tracing costs one request, in processor time of the whole process: ids, spans, queue, protobuf, sending.
//
// The life of a chat with one attempt is told to a real trace, with a collector that takes everything. Beside the
// processor time of a request at the gateway (bench:gateway) these figures are its share, free of that bench's noise.

import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { AttemptRecord } from '../src/gateway/exchange/attempt-record.ts';
import type { RequestTrace } from '../src/gateway/exchange/request-trace.ts';
import { type CollectorMetrics, openCollector } from '../src/gateway/tracing/collector.ts';
import { startCollectorSink } from './gateway/collector-sink.ts';

/** Server, tokens, decision, attempt. */
const spansPerTrace = 4;
/** Spans waiting, before the bench waits for them; above the size of a batch. */
const waitingMax = 1024;

export interface TracingCost {
  /** Share of requests that are sampled. */
  readonly share: number;
  /** Processor time of one request, in microseconds, sampled or not. */
  readonly cpuUsPerRequest: number;
  /** Telemetry per sampled request. */
  readonly bytesPerTrace: number;
}

export async function measureTracing(share: number, requests: number): Promise<TracingCost> {
  const sink = await startCollectorSink();
  const before = { ...process.env };
  Object.assign(process.env, {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink.url}/v1/traces`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: String(share),
  });
  const registry = new Registry();
  let earlier = 0;
  let sentSpans = 0;
  const sent = (): number => sentSpans;
  const spans = {
    inc: ({ fate }: { fate: string }, count: number): void => {
      if (fate !== 'sent') throw new Error(`spans were ${fate}`);
      sentSpans += count;
    },
  };
  const metrics = { registry, spans, metricExports: { inc: () => undefined } } as unknown as CollectorMetrics;
  const collector = await openCollector(process.env, '0', metrics, pino({ level: 'silent' }));
  const { tracing } = collector!;
  try {
    const run = async (count: number): Promise<number> => {
      let sampled = 0;
      for (let i = 0; i < count; i++) {
        const trace = tracing!.begin({ ...beginning, startedMs: performance.now() });
        if (trace.traceId !== null) sampled += 1;
        tellLife(trace);
        // Exports run between requests. They must keep up: what is dropped costs nothing.
        const keepsUp = (): boolean => spansPerTrace * (sampled + earlier) - sent() < waitingMax;
        if (i % 50 === 0) {
          do await new Promise((resolve) => setTimeout(resolve, 1));
          while (!keepsUp());
        }
      }
      earlier += sampled;
      return sampled;
    };
    await run(requests / 10);
    const bytesBefore = sink.bytes();
    const { user, system } = process.cpuUsage();
    const sampled = await run(requests);
    await collector!.close();
    const cpu = process.cpuUsage();
    const cpuUs = cpu.user + cpu.system - user - system;
    return {
      share,
      cpuUsPerRequest: cpuUs / requests,
      bytesPerTrace: sampled && (sink.bytes() - bytesBefore) / sampled,
    };
  } finally {
    sink.close();
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  }
}

const beginning = {
  id: '5f0c7a52-4c5c-4f0e-9d64-2f5f1c1f2b11',
  method: 'POST',
  path: '/v1/chat/completions',
  key: 'client',
  traceparent: null,
  tracestate: null,
};

function tellLife(trace: RequestTrace): void {
  trace.asks({ model: 'model', stream: true, maxOutputTokens: 100, sequences: 1 });
  const nowMs = performance.now();
  trace.tokenized(nowMs, nowMs + 0.1, 'tokens');
  trace.placing();
  trace.choosing();
  trace.placed();
  const attempt = trace.attempt(record, 'http://127.0.0.1:8000');
  attempt.firstToken();
  attempt.ended();
  trace.ended(200, null);
}

const record: AttemptRecord = {
  model: 'model',
  pool: 'model',
  route: null,
  worker: 'http://127.0.0.1:8000#0',
  workerClientId: 'engine-0123456789ab#0',
  attempt: 1,
  continuedTokens: null,
  decision: {
    policy: 'foresee',
    worker: 0,
    reason: 'cost',
    overlapTokens: 1024,
    overlapBlocks: 64,
    promisedBlocks: 0,
    bestOverlapTokens: 1024,
    uncachedTokens: 200,
    isl: 1224,
    predictedTtftMs: 40,
    predictedTpotMs: 8,
    predictedPrefillMs: 20,
    candidateCount: 8,
    keptWorkers: 0,
    candidates: () => [],
  },
  known: 'tokens',
  outcome: 'done',
  status: 200,
  error: null,
  ttftMs: 45,
  hindsight: null,
  outputTokens: 100,
  usage: { promptTokens: 1224, completionTokens: 100, cachedTokens: 1024 },
  account: { indexMissTokens: 0, promiseMissTokens: 0 },
  broken: () => undefined,
};
