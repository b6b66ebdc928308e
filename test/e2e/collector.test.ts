// The OpenTelemetry collector: what it gets of the metrics, and that its faults never reach clients.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { debianProgram, runProgram } from '../ops/debian-program.ts';
import { freePort } from './free-port.ts';
import { chatBody, eventually, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';
import { OtlpReceiver, type ReceivedMetric } from './otlp-receiver.ts';

const chat = { ...chatBody, stream: true };
const traceId = '0af7651916cd43dd8448eb211c80319c';
const sampled = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
/** Server, tokens, decision, attempt. */
const spansPerRequest = 4;

let harness: Harness;
let receiver: OtlpReceiver;
const before = { ...process.env };
beforeEach(async () => {
  harness = new Harness();
  receiver = await OtlpReceiver.start();
});
afterEach(async () => {
  await harness.end();
  await receiver.close();
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
});

async function start(environment: Readonly<Record<string, string>>, log = new LogLines()): Promise<Gateway> {
  Object.assign(process.env, environment);
  const engine = await harness.engine();
  const options = { workers: [engine.url], logLevel: 'info' } as const;
  return harness.gateway(options, 1, ['fake'], { otel: true, version: '9', logTo: log });
}
const ask = (gateway: Gateway, headers = {}) => post(gateway, '/v1/chat/completions', chat, headers);
const textOf = async (gateway: Gateway, accept = 'text/plain'): Promise<string> =>
  (await fetch(`${gateway.adminUrl}/metrics`, { headers: { accept } })).text();
const seriesValue = async (gateway: Gateway, series: string): Promise<number> => {
  const line = (await textOf(gateway)).split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
};

describe('metrics over OTLP', () => {
  it('are those of /metrics: names, help, labels, values, buckets', async () => {
    const gateway = await start({
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${receiver.url}/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    });
    await ask(gateway);
    await ask(gateway);
    const find = (name: string): ReceivedMetric | undefined => receiver.metrics.find((one) => one.name === name);
    await eventually(() => find('kvoyant_requests_total')?.points[0]?.value === 2);
    expect(receiver.spans).toEqual([]);
    expect(find('kvoyant_requests_total')).toMatchObject({
      ...{ kind: 'sum', monotonic: true, cumulative: true, unit: '{request}' },
      description: 'Answered requests by model and status (499: client gone).',
      resource: { 'service.name': 'kvoyant' },
      points: [{ attributes: { model: 'fake', status: '200' }, value: 2 }],
    });
    expect(find('kvoyant_engine_ready')).toMatchObject({ kind: 'gauge', points: [{ value: 1 }] });
    const ttft = find('kvoyant_time_to_first_token_seconds')!;
    expect(ttft).toMatchObject({ kind: 'histogram', cumulative: true, unit: 's' });
    const [point] = ttft.points;
    expect(point!.count).toBe(2);
    expect(point!.bucketCounts).toHaveLength(point!.bounds.length + 1);
    expect(point!.bucketCounts.reduce((sum, count) => sum + count)).toBe(2);
    expect(point!.value).toBeCloseTo(await seriesValue(gateway, 'kvoyant_time_to_first_token_seconds_sum'), 9);
    expect(point!.startNs < point!.timeNs).toBe(true);
    // Every metric that has a value now.
    const families = [...(await textOf(gateway)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    const valued = new Set((await textOf(gateway)).split('\n').flatMap((line) => /^(\w+)[{ ]/.exec(line)?.[1] ?? []));
    const expected = families.filter((name) => valued.has(name) || valued.has(`${name}_count`));
    await eventually(() => expected.every((name) => find(name) !== undefined));
  });
});

describe('exemplars', () => {
  const open =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

  it('lead from a bucket of TTFT to a sampled trace, for scrapers that accept OpenMetrics', async () => {
    const gateway = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: 'none' });
    await ask(gateway, { traceparent: sampled.traceparent.replace(/01$/, '00') });
    expect(await textOf(gateway, open)).not.toContain(traceId);
    await ask(gateway, sampled);
    const text = await textOf(gateway, open);
    const [, value] = new RegExp(
      `^kvoyant_time_to_first_token_seconds_bucket\\{le="[^"]+"\\} \\d+ # \\{trace_id="${traceId}"\\} ([\\d.]+) \\d+\\.\\d{3}$`,
      'm',
    ).exec(text)!;
    expect(Number(value)).toBeGreaterThan(0);
    expect(text.endsWith('\n# EOF\n')).toBe(true);
    expect(text).toContain('# TYPE kvoyant_requests counter\n');
    expect(text).toContain('\nkvoyant_requests_total{model="fake",status="200"} 2\n');
    const plain = await fetch(`${gateway.adminUrl}/metrics`);
    expect(plain.headers.get('content-type')).toContain('text/plain');
    expect(await plain.text()).not.toContain(traceId);
  });

  const promtool = debianProgram('promtool', 'prometheus');
  it.skipIf(promtool === null)('leave nothing to criticize in the plain format', async () => {
    const gateway = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: 'none' });
    await ask(gateway, sampled);
    expect(runProgram(promtool!, ['check', 'metrics'], await textOf(gateway))).toEqual({ status: 0, output: '' });
  });
});

describe('a collector that', () => {
  const queueMax = 64;
  const environment = (url: string): Record<string, string> => ({
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_BSP_SCHEDULE_DELAY: '10',
    OTEL_BSP_MAX_QUEUE_SIZE: String(queueMax),
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_METRIC_EXPORT_INTERVAL: '100',
  });
  const fates = async (gateway: Gateway): Promise<Record<string, number>> =>
    Object.fromEntries(
      [...(await textOf(gateway)).matchAll(/^kvoyant_trace_spans_total\{fate="(\w+)"\} (\d+)/gm)].map(
        ([, fate, count]) => [fate!, Number(count)],
      ),
    );

  /** Answers connections with these bytes, again and again. */
  async function hostile(
    answer: (socket: Socket) => void,
  ): Promise<{ url: string; sockets: Set<Socket>; close(): void }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
      socket.once('data', () => answer(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      sockets,
      close: () => {
        server.close();
        for (const socket of sockets) socket.destroy();
      },
    };
  }

  const trickle = (socket: Socket): void => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 50);
    socket.on('close', () => clearInterval(timer));
  };
  const flood = (socket: Socket): void => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const piece = Buffer.alloc(1 << 20, 120);
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece));
      socket.once('drain', more);
    };
    more();
  };

  it.each<[string, (socket: Socket) => void]>([
    ['never answers', () => undefined],
    ['sends a byte now and then', trickle],
    ['floods', flood],
    ['resets', (socket) => socket.resetAndDestroy()],
    ['answers with something else than HTTP', (socket) => socket.end('220 mail.example ESMTP\r\n')],
    ['refuses', (socket) => socket.end('HTTP/1.1 503 no\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n')],
    [
      'answers with a malformed message',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\x0a\xff\xff'),
    ],
  ])('%s costs no request, and a bounded number of spans and connections', async (_name, answer) => {
    const bad = await hostile(answer);
    try {
      const log = new LogLines();
      const gateway = await start(environment(bad.url), log);
      const count = 60;
      const answers = await Promise.all(Array.from({ length: count }, () => ask(gateway, sampled)));
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: count }, () => 200));
      // Every span has a fate in the end, with the connections of the collector closed.
      await eventually(async () => {
        const { sent = 0, failed = 0, dropped = 0 } = await fates(gateway);
        return sent + failed + dropped === spansPerRequest * count;
      }, 20_000);
      expect((await ask(gateway, sampled)).status).toBe(200);
      await gateway.close();
      await eventually(() => bad.sockets.size === 0, 10_000);
      expect(
        log.with('the OpenTelemetry collector takes no telemetry; it is lost until it does').length,
      ).toBeLessThanOrEqual(2);
    } finally {
      bad.close();
    }
  });

  it('is not there loses spans; once it is there, it gets them', async () => {
    const gone = receiver.url;
    await receiver.close();
    const log = new LogLines();
    const gateway = await start(environment(gone), log);
    for (let i = 0; i < 30; i++) await ask(gateway, sampled);
    await eventually(async () => ((await fates(gateway))['failed'] ?? 0) > 0, 20_000);
    expect(log.with('the OpenTelemetry collector takes no telemetry; it is lost until it does')).toContainEqual(
      expect.objectContaining({ signal: 'traces', reason: expect.any(String) }),
    );
    receiver = await OtlpReceiver.start(Number(new URL(gone).port));
    await eventually(async () => {
      await ask(gateway, sampled);
      return receiver.spans.length > 0;
    }, 20_000);
    await eventually(() => log.with('the OpenTelemetry collector takes telemetry again').length > 0);
  });

  it('is there gets what is left when the gateway stops', async () => {
    const gateway = await start({ ...environment(receiver.url), OTEL_BSP_SCHEDULE_DELAY: '60000' });
    await ask(gateway, sampled);
    expect(receiver.spans).toEqual([]);
    await gateway.close();
    expect(receiver.spans.map(({ kind }) => kind).sort()).toEqual(['client', 'internal', 'internal', 'server']);
  });
});

it('says which variables it does not follow, and sends nothing then', async () => {
  const log = new LogLines();
  const gateway = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, log);
  expect((await ask(gateway)).status).toBe(200);
  expect(log.with('the OTLP protocol grpc is not spoken, only http/protobuf; no traces are sent')).toHaveLength(1);
  expect(receiver.headers).toEqual([]);
});

describe('a real Prometheus', () => {
  const prometheus = debianProgram('prometheus', 'prometheus');

  it.skipIf(prometheus === null)(
    'scrapes OpenMetrics and keeps the exemplars',
    async () => {
      const gateway = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: 'none' });
      await ask(gateway, sampled);
      const folder = mkdtempSync(join(tmpdir(), 'kvoyant-prometheus-'));
      const config = {
        global: { scrape_interval: '1s' },
        scrape_configs: [{ job_name: 'kvoyant', static_configs: [{ targets: [new URL(gateway.adminUrl).host] }] }],
      };
      writeFileSync(join(folder, 'prometheus.json'), JSON.stringify(config));
      const port = await freePort();
      const flags = [
        `--config.file=${folder}/prometheus.json`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--enable-feature=exemplar-storage',
      ];
      const child = spawn(prometheus!, flags, { stdio: 'ignore' });
      try {
        const query = async (path: string): Promise<string> =>
          fetch(`http://127.0.0.1:${port}/api/v1/${path}`).then(
            (answer) => answer.text(),
            () => '',
          );
        const now = Math.floor(Date.now() / 1000);
        const asked = `query_exemplars?query=kvoyant_time_to_first_token_seconds_bucket&start=${now - 600}&end=${now + 600}`;
        await eventually(async () => {
          await new Promise((resolve) => setTimeout(resolve, 200));
          return (await query(asked)).includes(traceId);
        }, 60_000);
        expect(await query('query?query=kvoyant_requests_total')).toContain('"model":"fake"');
        expect(await query('targets')).toContain('"lastError":""');
      } finally {
        child.kill('SIGKILL');
        await once(child, 'exit');
        rmSync(folder, { recursive: true });
      }
    },
    90_000,
  );
});
