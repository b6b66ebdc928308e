// KV events of whole fleets of simulated engines: a shared address, a gateway that starts late, hundreds of feeds.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { freeEndpoint } from '../gateway/feeds/free-endpoint.ts';
import { eventually, getJson, Harness, loads, post } from './harness.ts';

const model = 'sim-feeds';
const blockSize = 16;
let harness: Harness;
let fleets: SimWorkers[];

beforeEach(() => {
  harness = new Harness();
  fleets = [];
});
afterEach(async () => {
  await harness.end();
  await Promise.all(fleets.map((fleet) => fleet.close()));
});

interface WorkerJson {
  readonly id: string;
  readonly trust: { readonly kind: string; readonly reason: string | null };
  readonly canary: { readonly state: string; readonly proofs: readonly string[]; readonly findings: object[] } | null;
  readonly feed: { readonly publishers: number; readonly batches: number; readonly lostBatches: number };
}

interface Decided {
  readonly worker: string;
  readonly overlapTokens: number;
  readonly actualCachedTokens: number | null;
}

async function sims(options: StartOptions): Promise<SimWorkers> {
  const fleet = await startSimWorkers({ port: 0, kvEventsPort: 0, model, speedup: 50, blocks: 2000, ...options });
  fleets.push(fleet);
  return fleet;
}

async function workersOf(gateway: Gateway): Promise<readonly WorkerJson[]> {
  return ((await getJson(gateway, '/workers')) as { workers: WorkerJson[] }).workers;
}

async function trusts(gateway: Gateway): Promise<ReadonlySet<string>> {
  return new Set((await workersOf(gateway)).map(({ trust }) => `${trust.kind} ${trust.reason ?? ''}`.trim()));
}

/** Four full blocks and a token; equal numbers are equal prompts. */
const promptOf = (number: number): number[] => Array.from({ length: 4 * blockSize + 1 }, (_, i) => number * 100 + i);

/** In one piece, so that the engine reports its cached tokens. */
async function complete(url: string, number: number): Promise<void> {
  const answer = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: promptOf(number), max_tokens: 1 }),
  });
  expect(answer.status).toBe(200);
  await answer.text();
}

async function newest(gateway: Gateway): Promise<Decided> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Decided[] }).decisions[0]!;
}

it('each canary finds its own events if three engines publish to one address', async () => {
  const endpoint = await freeEndpoint();
  const topics = ['kv@a', 'kv@b', 'kv@c'];
  const engines = await Promise.all(topics.map((kvEventsTopic) => sims({ kvEventsTopic, kvEventsConnect: endpoint })));
  const urls = engines.map(({ workers }) => workers[0]!.url);
  const workers = urls.map((url, i) => `${url},kv-events=bind:${endpoint},kv-topic=${topics[i]}`);
  const gateway = await harness.gateway({ workers, canary: true, tokenizer: 'builtin' }, urls.length, [model]);
  await eventually(async () => (await workersOf(gateway)).every(({ canary }) => canary !== null), 30_000);
  for (const { canary, feed } of await workersOf(gateway)) {
    expect(canary).toMatchObject({ findings: [] });
    expect(canary!.proofs).toContain('events');
    expect(feed).toMatchObject({ publishers: 1, lostBatches: 0 });
  }
  await eventually(async () => [...(await trusts(gateway))].join() === 'exact');
  // A prompt that only one engine holds goes back to it, whatever the others announce.
  await complete(gateway.url, 1);
  const { worker } = await newest(gateway);
  for (let number = 2; number < 8; number++) await complete(gateway.url, number);
  await eventually(
    async () => (await loads(gateway)).workers.reduce((sum, { heldBlocks }) => sum + heldBlocks, 0) >= 28,
  );
  await complete(gateway.url, 1);
  expect(await newest(gateway)).toEqual(
    expect.objectContaining({ worker, overlapTokens: 4 * blockSize, actualCachedTokens: 4 * blockSize }),
  );
});

describe('a gateway that starts after its engines, without replay', () => {
  it.each([
    ['after 32 predictions that the engine confirms', {}, 32],
    ['after 8, once the cache has been filled anew', { blocks: 21 }, 8],
  ])('trusts its view again %s', async (_, options, needed) => {
    const { workers } = await sims({ kvReplay: false, ...options });
    const { url } = workers[0]!;
    for (const number of [1, 2, 3]) await complete(url, number);
    const gateway = await harness.gateway({ workers: [url], tokenizer: 'builtin' }, 1, [model]);
    await complete(gateway.url, 100);
    await eventually(async () => (await trusts(gateway)).has('degraded late-join'));
    // The first prompt counts unless its own event has shown the late join.
    for (let i = 1; i <= needed - 2; i++) await complete(gateway.url, 100 + i);
    expect(await trusts(gateway)).toEqual(new Set(['degraded late-join']));
    for (const number of [98, 99]) await complete(gateway.url, number);
    await eventually(async () => (await trusts(gateway)).has('exact'));
    await complete(gateway.url, 99);
    expect(await newest(gateway)).toMatchObject({ overlapTokens: 64, actualCachedTokens: 64 });
  });
});

it('follows 100 feeds, and routes to the worker with the blocks', async () => {
  const count = 100;
  const fleet = await sims({ count, blocks: 200 });
  const workers = fleet.workers.map(({ url }) => url);
  // By blocks alone: on a busy machine an engine that seems slow would lose its prompts to others.
  const gateway = await harness.gateway({ workers, tokenizer: 'builtin', policy: 'kv' }, 0, [model]);
  await gateway.whenReady(120_000);
  // Seldom: an answer about a hundred workers takes the gateway longer than following them.
  const seldom = { interval: 500, timeout: 120_000 };
  await expect.poll(async () => [...(await trusts(gateway))], seldom).toEqual(['exact']);
  // All at once, so that the load spreads them.
  await Promise.all(Array.from({ length: count }, (_, i) => complete(gateway.url, i)));
  const heldBlocks = async (): Promise<number> =>
    (await loads(gateway)).workers.reduce((sum, load) => sum + load.heldBlocks, 0);
  await expect.poll(heldBlocks, seldom).toBe(4 * count);
  const used = (await loads(gateway)).workers.filter((load) => load.heldBlocks > 0).length;
  expect(used).toBeGreaterThan(count / 2);
  for (const number of [0, 37, 50, 99]) {
    const answer = await post(gateway, '/v1/completions', { model, prompt: promptOf(number), max_tokens: 1 });
    expect(answer.headers['x-kvoyant-overlap-tokens']).toBe(String(4 * blockSize));
    expect(await newest(gateway)).toMatchObject({ actualCachedTokens: 4 * blockSize });
  }
  for (const { feed } of await workersOf(gateway)) expect(feed).toMatchObject({ publishers: 1, lostBatches: 0 });
}, 400_000);
