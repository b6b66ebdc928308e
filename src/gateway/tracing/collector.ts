// Sends traces and metrics to an OpenTelemetry collector, if the `OTEL_*` variables name one.
//
// A collector that is dead, slow or hostile costs a bounded number of spans and connections, never a request: nothing
// waits for it, and what it answers is limited in bytes and time.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Resource } from '@opentelemetry/resources';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import type { Counter, Registry } from 'prom-client';
import type { RequestTrace } from '../exchange/request-trace.ts';
import { until } from '../until.ts';
import { MetricsProducer } from './metrics-producer.ts';
import { type Environment, type OtelWish, readOtelEnvironment } from './otel-environment.ts';
import { type Beginning, traceRequest } from './request-spans.ts';
import { shortLived, type TlsFiles } from './short-lived-agent.ts';
import { SpanGuard } from './span-guard.ts';
import { loadSpanTools } from './span-tools.ts';

/** Default of `OTEL_BSP_MAX_QUEUE_SIZE`, and its highest value here: beyond it spans are dropped. */
const spansWaitingMaxDefault = 2048;
const spansWaitingMaxMax = 65_536;
/** Longer texts of attributes are cut, unless `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` says otherwise. */
const attributeLengthMax = 1024;
/** Spans that are serialized in one turn of the event loop, unless `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` says otherwise. */
const batchSpansMax = 512;
/** Time to send what is left when the gateway stops. */
const flushMsMax = 2000;
/** Default of `OTEL_EXPORTER_OTLP_TIMEOUT`. */
const exportMsDefault = 10_000;
/** Reasons of failures may quote the collector. */
const reasonLengthMax = 200;

/** The gateway's metrics: those that are sent, and those of sending. */
export interface CollectorMetrics {
  readonly registry: Registry;
  readonly spans: Pick<Counter<'fate'>, 'inc'>;
  readonly metricExports: Pick<Counter<'fate'>, 'inc'>;
}

interface CollectorOptions {
  readonly environment: Environment;
  /** Of kvoyant; empty: unknown. */
  readonly version: string;
  readonly metrics: CollectorMetrics;
  readonly log: Logger;
}

/** Begins traces. */
export interface Tracing {
  begin(beginning: Beginning): RequestTrace;
}

export interface Collector {
  /** Null: only metrics are sent. */
  readonly tracing: Tracing | null;
  /** Sends what is left, for a limited time. */
  close(): Promise<void>;
}

/** @returns null if no collector is configured, or the packages for it are not installed; the log has the reason */
export async function openCollector(
  environment: Environment,
  version: string,
  metrics: CollectorMetrics,
  log: Logger,
): Promise<Collector | null> {
  const wish = readOtelEnvironment(environment);
  for (const notice of wish.notices) log.warn({ telemetry: 'otlp' }, notice);
  if (!wish.traces && !wish.metrics) return null;
  try {
    return await open(wish, { environment, version, metrics, log });
  } catch (error) {
    log.error({ err: error }, 'no telemetry is sent: the OpenTelemetry packages are missing, or a variable is wrong');
    return null;
  }
}

async function open(wish: OtelWish, options: CollectorOptions): Promise<Collector> {
  const resource = await resourceOf(options.version);
  const closing: (() => Promise<unknown>)[] = [];
  let tracing: Tracing | null = null;
  if (wish.traces) {
    const { provider, begin } = await openTraces(resource, options);
    tracing = { begin };
    closing.push(() => provider.shutdown());
  }
  if (wish.metrics) {
    const reader = await openMetrics(resource, wish, options);
    closing.push(() => reader.shutdown());
  }
  options.log.info({ traces: wish.traces, metrics: wish.metrics }, 'telemetry is sent to an OpenTelemetry collector');
  return {
    tracing,
    close: async () => {
      let over = false;
      const ends = closing.map((close) => close().catch(() => undefined));
      void Promise.all(ends).then(() => {
        over = true;
      });
      await until(() => over, flushMsMax);
    },
  };
}

/** `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win. */
async function resourceOf(version: string): Promise<Resource> {
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = await import(
    '@opentelemetry/resources'
  );
  const own = resourceFromAttributes({
    'service.name': 'kvoyant',
    ...(version !== '' && { 'service.version': version }),
    'service.instance.id': randomUUID(),
  });
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}

async function openTraces(resource: Resource, { environment, version, log, metrics }: CollectorOptions) {
  const { BasicTracerProvider, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace-base');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  const number = (name: string, fallback: number): number => positive(environment[name]) ?? fallback;
  const troubles = new Troubles(log, 'traces');
  const guard = new SpanGuard({
    spansWaitingMax: Math.min(number('OTEL_BSP_MAX_QUEUE_SIZE', spansWaitingMaxDefault), spansWaitingMaxMax),
    onFates: (fate, count, reason) => {
      metrics.spans.inc({ fate }, count);
      if (fate !== 'dropped') troubles.note(reason);
    },
  });
  const exporter: SpanExporter = guard.exporter(new OTLPTraceExporter(await connecting(environment, 'TRACES')));
  const maxExportBatchSize = number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', batchSpansMax);
  // Its own bound is never reached before the guard's.
  const batches = new BatchSpanProcessor(exporter, { maxExportBatchSize, maxQueueSize: spansWaitingMaxMax });
  const lengthGiven = positive(environment['OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT']) !== null;
  const provider = new BasicTracerProvider({
    resource,
    spanProcessors: [guard.processor(batches)],
    ...(!lengthGiven && { spanLimits: { attributeValueLengthLimit: attributeLengthMax } }),
  });
  const tools = await loadSpanTools(provider.getTracer('kvoyant', version));
  return { provider, begin: (beginning: Beginning) => traceRequest(tools, beginning) };
}

async function openMetrics(resource: Resource, wish: OtelWish, options: CollectorOptions) {
  const { environment, metrics, version, log } = options;
  const { PeriodicExportingMetricReader } = await import('@opentelemetry/sdk-metrics');
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  const exporter = new OTLPMetricExporter(await connecting(environment, 'METRICS'));
  const troubles = new Troubles(log, 'metrics');
  const send = exporter.export.bind(exporter);
  exporter.export = (data, done) => {
    send(data, (result) => {
      metrics.metricExports.inc({ fate: result.code === 0 ? 'sent' : 'failed' });
      troubles.note(result.code === 0 ? null : (result.error?.message ?? 'unknown'));
      done(result);
    });
  };
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: wish.metricsIntervalMs,
    exportTimeoutMillis: wish.metricsTimeoutMs,
  });
  reader.setMetricProducer(new MetricsProducer(metrics.registry, resource, version, performance.timeOrigin));
  return reader;
}

/** How an exporter connects. Endpoint, headers, compression and its time limit it reads by itself. */
async function connecting(environment: Environment, signal: 'TRACES' | 'METRICS') {
  const value = (name: string): string | null =>
    environment[`OTEL_EXPORTER_OTLP_${signal}_${name}`]?.trim() ||
    environment[`OTEL_EXPORTER_OTLP_${name}`]?.trim() ||
    null;
  const tls: Record<string, Buffer> = {};
  const files = { ca: 'CERTIFICATE', cert: 'CLIENT_CERTIFICATE', key: 'CLIENT_KEY' } satisfies Record<
    keyof TlsFiles,
    string
  >;
  for (const [part, name] of Object.entries(files)) {
    const path = value(name);
    if (path !== null) tls[part] = await readFile(path);
  }
  return { httpAgentOptions: shortLived(positive(value('TIMEOUT')) ?? exportMsDefault, tls) };
}

function positive(text: string | null | undefined): number | null {
  const number = Number(text?.trim() || Number.NaN);
  return Number.isFinite(number) && number > 0 ? Math.floor(number) : null;
}

/** Logs the first failure of a row, and its end. */
class Troubles {
  readonly #log: Logger;
  readonly #signal: string;
  #failing = false;

  constructor(log: Logger, signal: string) {
    this.#log = log;
    this.#signal = signal;
  }

  /** @param reason null: it was sent */
  note(reason: string | null): void {
    if ((reason !== null) === this.#failing) return;
    this.#failing = reason !== null;
    const line = { signal: this.#signal };
    if (reason === null) this.#log.info(line, 'the OpenTelemetry collector takes telemetry again');
    else {
      this.#log.warn(
        { ...line, reason: reason.slice(0, reasonLengthMax) },
        'the OpenTelemetry collector takes no telemetry; it is lost until it does',
      );
    }
  }
}
