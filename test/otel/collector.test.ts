// Spans and metrics through a real OpenTelemetry collector: it takes them, and passes them on as they are.
//
// `npm run test:otel` builds the collector and names it in KVOYANT_COLLECTOR; without it these tests are left out.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeRequest, replyJson, streamTokens } from '../e2e/fake-engine.ts';
import { type Answer, chatBody, eventually, Harness, post } from '../e2e/harness.ts';
import { OtlpReceiver, type ReceivedSpan } from '../e2e/otlp-receiver.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';

const program = process.env['KVOYANT_COLLECTOR'] ?? null;
const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const traceparent = `00-${traceId}-${parentId}-01`;

let harness: Harness;
let folder: TemporaryFolder;
/** Gets what the collector exports. */
let receiver: OtlpReceiver;
let collector: ChildProcess | null = null;
const before = { ...process.env };
beforeEach(async () => {
  harness = new Harness();
  folder = new TemporaryFolder();
  receiver = await OtlpReceiver.start();
});
afterEach(async () => {
  await harness.end();
  if (collector !== null && collector.exitCode === null) {
    collector.kill('SIGTERM');
    await once(collector, 'exit');
  }
  collector = null;
  await receiver.close();
  folder.remove();
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
});

/** Starts the collector. @returns where it takes OTLP over HTTP */
async function startCollector(): Promise<string> {
  const config = folder.write(
    'collector.yaml',
    JSON.stringify({
      receivers: { otlp: { protocols: { http: { endpoint: '127.0.0.1:0' } } } },
      exporters: {
        otlphttp: {
          ...{ endpoint: receiver.url, compression: 'none', encoding: 'proto' },
          ...{ retry_on_failure: { enabled: false }, sending_queue: { enabled: false } },
        },
      },
      service: {
        telemetry: { metrics: { level: 'none' }, logs: { encoding: 'json' } },
        pipelines: {
          traces: { receivers: ['otlp'], exporters: ['otlphttp'] },
          metrics: { receivers: ['otlp'], exporters: ['otlphttp'] },
        },
      },
    }),
  );
  collector = spawn(program!, ['--config', `file:${config}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  collector.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const started = /"Starting HTTP server".*?"endpoint":"([^"]+)"/;
  await eventually(() => {
    if (collector!.exitCode !== null) throw new Error(`the collector ended: ${log}`);
    return started.test(log) && log.includes('Everything is ready');
  }, 60_000);
  return `http://${started.exec(log)![1]}`;
}

async function startGateway(environment: Readonly<Record<string, string>>): Promise<Gateway> {
  Object.assign(process.env, {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: await startCollector(), OTEL_BSP_SCHEDULE_DELAY: '20' },
    ...{ OTEL_METRIC_EXPORT_INTERVAL: '200', OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test' },
    ...environment,
  });
  const engine = await harness.engine();
  let asked = 0;
  engine.behaviour = (request: FakeRequest) => {
    asked += 1;
    if (asked === 1) streamTokens(request, 3);
    else replyJson(request.response, 400, { error: { message: 'no' } });
  };
  return harness.gateway({ workers: [engine.url] }, 1, ['fake'], { otel: true, version: '9' });
}

const ask = (gateway: Gateway): Promise<Answer> =>
  post(gateway, '/v1/chat/completions', { ...chatBody, stream: true, max_tokens: 9 }, { traceparent });

async function seriesValue(gateway: Gateway, series: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

describe.skipIf(program === null)('a real collector', () => {
  it('takes the spans of a request, and passes on the whole tree', async () => {
    const gateway = await startGateway({ OTEL_METRICS_EXPORTER: 'none' });
    expect((await ask(gateway)).status).toBe(200);
    const servers = (): ReceivedSpan[] => receiver.spans.filter(({ kind }) => kind === 'server');
    await eventually(() => servers().length === 1 && receiver.spans.length >= 4, 20_000);
    const [root] = servers();
    expect(root).toMatchObject({ traceId, parentId, name: 'chat fake', failed: false, scope: 'kvoyant' });
    expect(root!.resource).toMatchObject({
      ...{ 'service.name': 'kvoyant', 'service.version': '9', 'deployment.environment.name': 'test' },
    });
    expect(root!.attributes).toMatchObject({
      ...{ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'fake', 'gen_ai.request.stream': true },
      ...{ 'gen_ai.request.max_tokens': 9, 'gen_ai.usage.output_tokens': 3, 'http.response.status_code': 200 },
    });
    const children = receiver.spans.filter(({ parentId: id }) => id === root!.spanId);
    expect(children.length).toBe(receiver.spans.length - 1);
    for (const span of receiver.spans) {
      expect(span.traceId).toBe(traceId);
      expect(span.startNs <= span.endNs).toBe(true);
      expect(span.startNs >= root!.startNs && span.endNs <= root!.endNs).toBe(true);
    }
    expect(receiver.spans.some(({ events }) => events.length > 0)).toBe(true);
    // An error of the engine.
    await ask(gateway);
    await eventually(() => servers().length === 2, 20_000);
    expect(servers()[1]!.attributes).toMatchObject({ 'http.response.status_code': 400 });
    // It refused none.
    await eventually(
      async () => (await seriesValue(gateway, 'kvoyant_trace_spans_total{fate="sent"}')) === receiver.spans.length,
    );
  });

  it('takes every metric of /metrics, with its kind, labels and values', async () => {
    const gateway = await startGateway({ OTEL_TRACES_EXPORTER: 'none' });
    await ask(gateway);
    const find = (name: string) => receiver.metrics.find((one) => one.name === name);
    await eventually(() => find('kvoyant_requests_total')?.points[0]?.value === 1, 20_000);
    expect(find('kvoyant_requests_total')).toMatchObject({
      ...{ kind: 'sum', monotonic: true, cumulative: true, resource: { 'service.name': 'kvoyant' } },
      points: [{ attributes: { model: 'fake', status: '200' }, value: 1 }],
    });
    const [point] = find('kvoyant_time_to_first_token_seconds')!.points;
    expect(point!.count).toBe(1);
    expect(point!.bucketCounts).toHaveLength(point!.bounds.length + 1);
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const valued = new Set(text.split('\n').flatMap((line) => /^(\w+)[{ ]/.exec(line)?.[1] ?? []));
    const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    const expected = families.filter((name) => valued.has(name) || valued.has(`${name}_count`));
    expect(expected.length).toBeGreaterThan(30);
    await eventually(() => expected.every((name) => find(name) !== undefined), 20_000);
    expect(await seriesValue(gateway, 'kvoyant_metric_exports_total{fate="failed"}')).toBe(0);
  });
});
