// Engines with false statements about themselves: each affects only itself, and the gateway keeps answering.

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/index.ts';
import { eventually } from '../e2e/harness.ts';
import { report, size } from './fault-report.ts';
import { whileProbing } from './health-prober.ts';
import { command, endAll, getJson, Program, script, startScripted } from './processes.ts';

/** No engine's answer may block the event loop for more than 50 ms; five times that, for other work. */
const healthMsMax = 250;
/** On a busy machine: allowed multiple of the time that /health takes without such engines. */
const quietTimesMax = 5;
const fuzzedEngines = size(400, 8);

type Answer = (response: ServerResponse) => void;
/** Answers by path that differ from those of a sound engine. */
type Lies = Readonly<Record<string, Answer>>;

const servers: Server[] = [];
const programs: Program[] = [];
afterEach(async () => {
  await endAll(programs.splice(0));
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

const text =
  (body: string, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(200, headers);
    response.end(body);
  };
const json = (value: unknown): Answer => text(JSON.stringify(value));
const model = (id: unknown, more: object = {}): object => ({ id, object: 'model', created: 1, owned_by: 'x', ...more });
const models = (...ids: unknown[]): Answer => json({ object: 'list', data: ids.map((id) => model(id)) });
const cache = (labels: string): Answer => text(`vllm:cache_config_info{engine="0",${labels}} 1.0\n`);
const source = (endpoint: unknown, more: object = {}): Answer =>
  json({
    '0': { enable_kv_cache_events: true, publisher: 'zmq', endpoint, replay_endpoint: null, topic: '', ...more },
  });

/** Writes until the reader leaves. */
const endless =
  (chunk: string, pauseMs: number): Answer =>
  (response) => {
    response.writeHead(200);
    const go = (): void => {
      if (response.destroyed) return;
      if (pauseMs > 0) {
        response.write(chunk);
        setTimeout(go, pauseMs);
      } else if (response.write(chunk)) setImmediate(go);
      else response.once('drain', go);
    };
    go();
  };

async function liar(lies: Lies): Promise<string> {
  const sound: Lies = {
    '/health': text(''),
    '/v1/models': models('scripted'),
    '/metrics': cache('block_size="16",num_gpu_blocks="100"'),
    '/v1/completions': json({ usage: { prompt_tokens: 49, completion_tokens: 1 } }),
  };
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    request.resume();
    const answer = lies[request.url!] ?? sound[request.url!];
    if (answer !== undefined) answer(response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface WorkerEntry {
  readonly url: string;
  readonly state: string;
  readonly reason: string | null;
  readonly remarks: readonly string[];
  readonly blockSize?: number;
  readonly capacityBlocks?: number;
}

let sound: Program;
async function gatewayOf(liars: readonly string[], ...more: readonly string[]): Promise<Program> {
  sound = await startScripted();
  await script(sound, { firstTokenMs: 0, tokens: 2, gapMs: 1 });
  const workers = [sound.url, ...liars].flatMap((url) => ['--worker', url]);
  const args = [
    'serve',
    '--port',
    '0',
    '--log-level',
    'warn',
    '--tokenizer',
    'builtin',
    '--trust-tokenizer',
    ...workers,
  ];
  const gateway = await Program.start([command, ...args, ...more], /listening on (\S+)/);
  programs.push(sound, gateway);
  return gateway;
}

async function workersOf(gateway: Program): Promise<readonly WorkerEntry[]> {
  return ((await getJson(`${gateway.adminUrl}/workers`)) as { workers: WorkerEntry[] }).workers;
}

async function serves(gateway: Program): Promise<void> {
  const body = JSON.stringify({ model: 'scripted', prompt: 'x', max_tokens: 1 });
  for (let i = 0; i < 3; i++) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${gateway.url}/v1/completions`, { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
    await answer.text();
  }
}

const blockSizeLie = (size: string): [string, Lies, RegExp] => [
  `a block size of ${size}`,
  { '/metrics': cache(`block_size="${size}",num_gpu_blocks="100"`) },
  /block_size/,
];

/** The reason or a remark on /workers must match. */
const lies: readonly [string, Lies, RegExp | null][] = [
  ...['0', '1000000', '-16', 'NaN', '1e9', '99999999999999999999'].map(blockSizeLie),
  ['the largest block size', { '/metrics': cache('block_size="65536",num_gpu_blocks="100"') }, null],
  ['more blocks than there can be', { '/metrics': cache('block_size="16",num_gpu_blocks="9999999999999"') }, /num_gpu/],
  ['300 ranks', { '/metrics': text(ranks(300)) }, /rank 256/],
  ['a rank beyond counting', { '/metrics': text('vllm:cache_config_info{engine="1e99"} 1\n') }, /rank/],
  [
    '5,000 models',
    { '/v1/models': models('scripted', ...Array.from({ length: 5000 }, (_, i) => `m${i}`)) },
    /4096 models/,
  ],
  ['a name of a megabyte', { '/v1/models': models('scripted', 'n'.repeat(1_000_000)) }, /1000000 characters/],
  [
    'names of megabytes',
    { '/v1/models': models('scripted', ...Array(40).fill('n'.repeat(1_000_000))) },
    /2097152 bytes/,
  ],
  [
    'models that are none',
    { '/v1/models': json({ data: ['x', 1, null, { id: 7 }, model('scripted')] }) },
    /not a model/,
  ],
  ['a model described without end', { '/v1/models': json({ data: [model('scripted', { x: nested(32) })] }) }, /length/],
  ['a model nested without end', { '/v1/models': text(`{"data":${'['.repeat(1_000_000)}`) }, /nesting deeper than 64/],
  [
    'models of nothing but names',
    { '/v1/models': text(`{"data":[${Array.from({ length: 150_000 }, (_, i) => `{"k${i}":1}`).join()}]}`) },
    /more than 16384 objects/,
  ],
  [
    'a model with a member for each of its tokens',
    { '/v1/models': text(`{"data":[{${Array.from({ length: 150_000 }, (_, i) => `"k${i}":1`).join()}}]}`) },
    /more than 98304 values/,
  ],
  ['events nested without end', { '/kv_event_sources': text('{"0":'.repeat(200_000)) }, /nesting deeper than 64/],
  ['models that are no JSON', { '/v1/models': text('<html>') }, /not JSON/],
  ['no model', { '/v1/models': json({ data: [] }) }, /no model/],
  [
    'models compressed',
    { '/v1/models': (r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')) },
    /gzip/,
  ],
  ['a redirect to itself', { '/v1/models': (r) => r.writeHead(302, { location: '/v1/models' }).end() }, /302/],
  ['models in a trickle', { '/v1/models': endless(' ', 100) }, /did not finish/],
  ['metrics without an end', { '/metrics': endless('x'.repeat(65_536), 0) }, /8388608 bytes/],
  ['metrics in a trickle', { '/metrics': endless('# \n', 100) }, /did not finish/],
  ['a line of metrics of megabytes', { '/metrics': cache(`x="${'y'.repeat(6_000_000)}"`) }, /line of/],
  ['health without an end', { '/health': endless('x'.repeat(65_536), 0) }, null],
  ['events nowhere', { '/kv_event_sources': source('tcp://nowhere') }, /address/],
  ['events at port 0', { '/kv_event_sources': source('tcp://*:0') }, /address/],
  ['events of another kind', { '/kv_event_sources': source('inproc://x') }, /address/],
  ['events of a number', { '/kv_event_sources': source(7) }, /address/],
  ['a replay nowhere', { '/kv_event_sources': source('tcp://*:9', { replay_endpoint: 'udp:\n/x' }) }, /replayed/],
  ['a topic of a megabyte', { '/kv_event_sources': source('tcp://*:9', { topic: 't'.repeat(900_000) }) }, /topic/],
  [
    'events of ranks without number',
    {
      '/kv_event_sources': text(
        `{${Array.from({ length: 9000 }, (_, i) => `"${i}":{"endpoint":"tcp://*:9"}`).join()}}`,
      ),
    },
    /rank/,
  ],
  [
    'usage that is none',
    {
      '/v1/completions': json({
        usage: { prompt_tokens: -1, completion_tokens: 1e300, prompt_tokens_details: { cached_tokens: -5 } },
      }),
    },
    null,
  ],
];

function ranks(count: number): string {
  return Array.from({ length: count }, (_, i) => `vllm:cache_config_info{engine="${i}",block_size="16"} 1\n`).join('');
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

/** p99 of /health where no engine lies. */
async function quietMs(): Promise<number> {
  const gateway = await gatewayOf([]);
  const { probes } = await whileProbing(gateway.url, async () => {
    for (let i = 0; i < 10; i++) {
      await serves(gateway);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  return probes.p99Ms;
}

describe('engines with false statements about themselves', () => {
  it('each get a reason or a remark; /health answers throughout, and requests are served', async () => {
    const quiet = await quietMs();
    const urls = await Promise.all(lies.map(([, lie]) => liar(lie)));
    const gateway = await gatewayOf(urls);
    const { probes } = await whileProbing(gateway.url, async () => {
      // The time limit of the slowest probe, plus one interval.
      await eventually(async () => {
        const workers = await workersOf(gateway);
        return urls.every((url, i) => {
          const { reason, remarks, state } = workers.find((worker) => worker.url === url)!;
          const pattern = lies[i]![2];
          return pattern === null ? state === 'ready' : pattern.test([reason, ...remarks].join(' '));
        });
      }, 40_000).catch(async (error: unknown) => {
        const workers = await workersOf(gateway);
        const said = urls.map((url, i) => [lies[i]![0], workers.find((worker) => worker.url === url)]);
        throw new Error(`${error}: ${JSON.stringify(said, null, 1)}`);
      });
      await serves(gateway);
    });
    const workers = await workersOf(gateway);
    for (const { url, blockSize, capacityBlocks } of workers) {
      if (!urls.includes(url) || blockSize === undefined) continue;
      expect(blockSize).toBeLessThanOrEqual(65_536);
      expect(capacityBlocks).toBeLessThanOrEqual(16_777_216);
    }
    expect((await getJson(`${gateway.url}/v1/models`)) as object).toMatchObject({ object: 'list' });
    expect(probes.failures).toBe(0);
    expect(probes.p99Ms).toBeLessThan(Math.max(healthMsMax, quietTimesMax * quiet));
    report(
      'engines that lie of themselves',
      `${lies.length} kinds; /health p99 ${probes.p99Ms.toFixed(0)} ms, without them ${quiet.toFixed(0)} ms`,
      'serves on',
    );
  }, 90_000);

  it('are survived at random', async () => {
    const random = new Random(4);
    const quiet = await quietMs();
    const urls = await Promise.all(Array.from({ length: fuzzedEngines }, () => liar(randomLies(random))));
    const gateway = await gatewayOf(urls, '--no-canary');
    const { probes } = await whileProbing(gateway.url, async () => {
      await eventually(async () => {
        const workers = await workersOf(gateway);
        return workers.every(({ state, reason }) => state !== 'joining' || reason !== null);
      }, 60_000);
      await serves(gateway);
    });
    expect(probes.failures).toBe(0);
    expect(probes.p99Ms).toBeLessThan(Math.max(healthMsMax, quietTimesMax * quiet));
    expect(gateway.logged('internal error')).toEqual([]);
  }, 120_000);
});

function randomLies(random: Random): Lies {
  const pick = <T>(items: readonly T[]): T => items[random.uint32() % items.length]!;
  const junk = (): unknown =>
    pick<() => unknown>([
      () => null,
      () => -1,
      () => 1e308,
      () => '',
      () => 'x'.repeat(random.uint32() % 3000),
      () => [],
      () => ({}),
      () => Array.from({ length: random.uint32() % 50 }, () => pick([null, 7, 'tcp://*:1', {}, []])),
      () => `tcp://${pick(['*', '::', '[::]', '127.0.0.1', '', 'ünï'])}:${pick(['0', '1', '65536', '-1', 'x', '*'])}`,
      () => true,
    ])();
  const labels = ['block_size', 'num_gpu_blocks', 'kv_cache_size_tokens', 'engine', 'enable_prefix_caching'];
  const line = (): string =>
    `vllm:cache_config_info{${labels.map((name) => `${name}="${pick(['0', '16', '-1', 'None', '', '65536', '7e7', '"', '{', '\\'])}"`).join()}} 1\n`;
  return {
    '/v1/models': json({
      data: pick<unknown>([[model('scripted', { parent: junk(), max_model_len: junk() }), junk()], junk(), [junk()]]),
    }),
    '/metrics': text(Array.from({ length: random.uint32() % 5 }, line).join('')),
    '/kv_event_sources': json({
      [pick(['0', '1', '-1', 'x', '255', '1e3'])]: pick<unknown>([
        junk(),
        { publisher: pick(['zmq', junk()]), endpoint: junk(), replay_endpoint: junk(), topic: junk() },
      ]),
    }),
    '/tokenize': json({ tokens: junk() }),
  };
}
