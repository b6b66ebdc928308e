// Engines that publish their KV events to one address of the gateway, as in llm-d.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Publisher } from 'zeromq';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { freeEndpoint } from '../gateway/feeds/free-endpoint.ts';
import type { FakeEngine } from './fake-engine.ts';
import { eventually, getJson, Harness, loads, post } from './harness.ts';
import { LlmDSimPublisher } from './llm-d-sim-publisher.ts';

const blockSize = 16;
const options = { tokenizer: 'builtin', trustTokenizer: true };
const metrics = `vllm:cache_config_info{block_size="${blockSize}",engine="0",num_gpu_blocks="1001"} 1.0\n`;

interface WorkerJson {
  readonly id: string;
  readonly trust: { readonly kind: string; readonly reason: string | null };
  readonly feed: {
    readonly topic: string;
    readonly publishers: number;
    readonly batches: number;
    readonly malformed: number;
    readonly lostBatches: number;
  };
  readonly events: { readonly skippedEvents: number; readonly appliedBlocks: number };
}

let harness: Harness;
let publishers: LlmDSimPublisher[];
let engines: FakeEngine[];
let gateway: Gateway;
let endpoint: string;

beforeEach(async () => {
  harness = new Harness();
  publishers = [];
  endpoint = await freeEndpoint();
  engines = await harness.engines(2, { metrics });
});
afterEach(async () => {
  for (const publisher of publishers) publisher.close();
  await harness.end();
});

const topicOf = (engine: FakeEngine): string => `kv@${engine.url.replace('http://', '')}@fake`;
const workers = async (): Promise<readonly WorkerJson[]> =>
  ((await getJson(gateway, '/workers')) as { workers: WorkerJson[] }).workers;
const prompt = (first: number, blocks: number): number[] =>
  Array.from({ length: blocks * blockSize + 1 }, (_, i) => first + i);

async function start(asMaps: boolean): Promise<void> {
  gateway = await harness.gateway({
    ...options,
    workers: engines.map((engine) => `${engine.url},kv-events=bind:${endpoint},kv-topic=${topicOf(engine)}`),
  });
  publishers = engines.map((engine) => new LlmDSimPublisher(endpoint, topicOf(engine), blockSize, asMaps));
  await eventually(async () => (await workers()).every(({ feed }) => feed.publishers === 1));
  await Promise.all(publishers.map((publisher) => publisher.whenSubscribed()));
}

async function held(): Promise<number[]> {
  return (await loads(gateway)).workers.map(({ heldBlocks }) => heldBlocks);
}

describe.each([
  ['arrays', false],
  ['maps', true],
])('llm-d-inference-sim, with %s', (_, asMaps) => {
  it('is supported like an engine: each publisher for its own worker, complete from its first batch', async () => {
    await start(asMaps);
    publishers[0]!.request(prompt(1000, 20));
    publishers[1]!.request(prompt(70_000, 16));
    publishers[1]!.request(prompt(4_000_000, 5));
    await eventually(async () => (await held()).join() === '20,21');
    for (const { trust, feed, events } of await workers()) {
      expect(trust).toMatchObject({ kind: 'exact', reason: null });
      expect(feed).toMatchObject({ malformed: 0, lostBatches: 0 });
      expect(events.skippedEvents).toBe(0);
    }
    const answer = await post(gateway, '/v1/completions', { model: 'fake', prompt: prompt(4_000_000, 5) });
    expect(answer.headers).toMatchObject({
      'x-kvoyant-worker': `${clientIdOf(engines[1]!.url)}#0`,
      'x-kvoyant-overlap-tokens': String(5 * blockSize),
    });
  });

  it('sends 16 events at a time, and the rest within a second', async () => {
    await start(asMaps);
    publishers[0]!.request(prompt(0, 40));
    await eventually(async () => (await held())[0] === 40);
    expect((await workers())[0]!.feed.batches).toBe(3);
  });

  it('may evict a prefix before its continuation, and store below an evicted block, without harm', async () => {
    await start(asMaps);
    const publisher = publishers[0]!;
    publisher.request(prompt(0, 16));
    await eventually(async () => (await held())[0] === 16);
    publisher.evict(5);
    publisher.request(prompt(0, 27));
    await eventually(async () => (await workers())[0]!.feed.batches >= 2);
    publisher.clear();
    await eventually(async () => (await held())[0] === 0);
    publisher.request(prompt(0, 16));
    await eventually(async () => (await held())[0] === 16);
    expect((await workers())[0]!.trust).toMatchObject({ kind: 'exact' });
  });
});

describe('kv-topic', () => {
  it('overrides the topic that the engine announces', async () => {
    const publisher = new Publisher({ linger: 0 });
    await publisher.bind('tcp://127.0.0.1:*');
    const source = { enable_kv_cache_events: true, publisher: 'zmq', topic: 'told', replay_endpoint: null };
    const announced = publisher.lastEndpoint!.replace('127.0.0.1', '*');
    const engine = await harness.engine({ metrics, eventSources: { 0: { ...source, endpoint: announced } } });
    gateway = await harness.gateway({ ...options, workers: [`${engine.url},kv-topic=stated`] });
    const plain = await harness.gateway({ ...options, workers: [engine.url] });
    expect((await workers())[0]!.feed.topic).toBe('stated');
    gateway = plain;
    expect((await workers())[0]!.feed.topic).toBe('told');
    publisher.close();
  });
});
