// Requests that wait for room: held in overload, by priority, up to a size and a time limit, with no load left behind.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { freePort } from './free-port.ts';
import { type Answer, atRest, eventually, getJson, Harness, post } from './harness.ts';

const model = 'sim-queue';
const blockSize = 16;
/** Two requests of `promptBlocks` don't fit an engine at the same time. */
const promptBlocks = 25;
const capacityBlocks = 40;

let fleet: SimWorkers;
let harness: Harness;

beforeAll(async () => {
  // Restarted on the same ports.
  const [port, kvEventsPort] = [await freePort(2), await freePort(2)];
  fleet = await startSimWorkers({ count: 2, port, kvEventsPort, model, speedup: 5, blocks: capacityBlocks + 1 });
});
afterAll(async () => {
  await fleet.close();
});
beforeEach(async () => {
  await fleet.restart();
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

async function gatewayOf(workerCount: number, options: GatewayOptions = {}): Promise<Gateway> {
  const workers = fleet.workers.slice(0, workerCount).map(({ url }) => url);
  return harness.gateway({ workers, ...options }, workerCount, [model]);
}

let nextPrompt = 1;

/** A body whose prompt shares no block with any other. */
function bodyOf(more: object = {}, blocks = promptBlocks): object {
  const number = nextPrompt++;
  const prompt = Array.from({ length: blocks * blockSize }, (_, i) => (number * 131 + i * 7) % 50_000);
  return { model, prompt, max_tokens: 4, ignore_eos: true, ...more };
}

interface Queue {
  readonly waiting: number;
  readonly waitingBlocks: number;
}

async function queueOf(gateway: Gateway): Promise<Queue> {
  const { queues } = (await getJson(gateway, '/loads')) as { queues: readonly Queue[] };
  return queues[0]!;
}

const waits = (gateway: Gateway, count: number): Promise<void> =>
  eventually(async () => (await queueOf(gateway)).waiting === count);

/** A request that runs until it is aborted. */
async function occupy(gateway: Gateway): Promise<AbortController> {
  const controller = new AbortController();
  const { signal } = controller;
  const body = JSON.stringify(bodyOf({ stream: true, max_tokens: 230 }));
  const answer = await fetch(`${gateway.url}/v1/completions`, { method: 'POST', body, signal });
  const reader = answer.body!.getReader();
  await reader.read();
  return controller;
}

function complete(gateway: Gateway, more: object = {}, headers: Record<string, string> = {}): Promise<Answer> {
  return post(gateway, '/v1/completions', bodyOf(more), headers);
}

/** Request ids in order of placement. */
async function placedInOrder(gateway: Gateway): Promise<string[]> {
  const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: readonly { requestId: string }[] };
  const newestFirst = decisions.map(({ requestId }) => requestId).filter((id) => id.startsWith('queued-'));
  return newestFirst.reverse();
}

describe('the queue of the gateway', () => {
  it('holds an overload without a failure, and is empty at the end', async () => {
    const gateway = await gatewayOf(2);
    const answers = Promise.all(Array.from({ length: 30 }, () => complete(gateway)));
    await eventually(async () => (await queueOf(gateway)).waiting > 0);
    const { waiting, waitingBlocks } = await queueOf(gateway);
    expect(waitingBlocks).toBe(waiting * promptBlocks);
    for (const { status, body } of await answers) expect(status, body).toBe(200);
    await atRest(gateway);
    expect(await queueOf(gateway)).toMatchObject({ waiting: 0, waitingBlocks: 0 });
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/kvoyant_queue_outcomes_total\{outcome="placed"\} \d\d/);
    expect(metrics).toMatch(/kvoyant_queue_depth\{pool="sim-queue"\} 0/);
    expect(metrics).toMatch(/kvoyant_queue_wait_seconds_count [1-9]/);
  });

  it('is ordered by priority, the header before the body, then by arrival', async () => {
    const gateway = await gatewayOf(1);
    const busy = await occupy(gateway);
    const answers: Promise<Answer>[] = [];
    for (const [name, more, headers] of [
      ['low', { priority: 3 }, {}],
      ['second', {}, {}],
      ['third', {}, {}],
      ['first', { priority: 9 }, { 'x-kvoyant-priority': '-1' }],
    ] as const) {
      answers.push(complete(gateway, more, { 'x-request-id': `queued-${name}`, ...headers }));
      await waits(gateway, answers.length);
    }
    busy.abort();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect(await placedInOrder(gateway)).toEqual(['queued-first', 'queued-second', 'queued-third', 'queued-low']);
  });

  it('refuses requests beyond its size with 429 and retry-after', async () => {
    const gateway = await gatewayOf(1, { queuedRequestsMax: 1 });
    const busy = await occupy(gateway);
    const held = complete(gateway);
    await waits(gateway, 1);
    const { status, headers, body } = await complete(gateway);
    expect([status, JSON.parse(body).error.code]).toEqual([429, 'queue_full']);
    // Nothing was released in the last 30 s.
    expect(headers['retry-after']).toBe('60');
    busy.abort();
    expect((await held).status).toBe(200);
  });

  it('refuses a request that waited too long with 503', async () => {
    const gateway = await gatewayOf(1, { queueWaitMsMax: 100 });
    const busy = await occupy(gateway);
    const { status, body } = await complete(gateway);
    expect([status, JSON.parse(body).error.code]).toEqual([503, 'queue_wait_exceeded']);
    expect((await queueOf(gateway)).waiting).toBe(0);
    busy.abort();
    await atRest(gateway);
    expect((await complete(gateway)).status).toBe(200);
  });

  it('drops a request at once when its client leaves', async () => {
    const gateway = await gatewayOf(1);
    const busy = await occupy(gateway);
    const controller = new AbortController();
    const gone = fetch(`${gateway.url}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify(bodyOf()),
      signal: controller.signal,
    }).catch((error: Error) => error.name);
    await waits(gateway, 1);
    const held = complete(gateway);
    await waits(gateway, 2);
    controller.abort();
    expect(await gone).toBe('AbortError');
    await waits(gateway, 1);
    busy.abort();
    expect((await held).status).toBe(200);
  });

  it('sends an engine at most running-max requests at a time', async () => {
    const gateway = await harness.gateway({ workers: [`${fleet.workers[0]!.url},running-max=2`] }, 1, [model]);
    const small = () => post(gateway, '/v1/completions', bodyOf({ max_tokens: 40 }, 1));
    const answers = Promise.all(Array.from({ length: 6 }, small));
    await waits(gateway, 4);
    const { workers } = (await getJson(gateway, '/loads')) as { workers: readonly object[] };
    expect(workers[0]).toMatchObject({ runningRequests: 2, runningRequestsMax: 2, capacityKnown: true });
    for (const { status } of await answers) expect(status).toBe(200);
  });

  it('does not hold a request that no engine can ever take: the engine refuses it', async () => {
    const gateway = await gatewayOf(2);
    const { status } = await post(gateway, '/v1/completions', bodyOf({}, capacityBlocks + 1));
    expect(status).toBe(400);
  });

  it('holds nothing if it is off', async () => {
    const gateway = await gatewayOf(1, { queue: false });
    const busy = await occupy(gateway);
    const answer = complete(gateway);
    await eventually(async () => {
      const { workers } = (await getJson(gateway, '/loads')) as { workers: readonly { runningRequests: number }[] };
      return workers[0]!.runningRequests === 2;
    });
    expect((await queueOf(gateway)).waiting).toBe(0);
    busy.abort();
    expect((await answer).status).toBe(200);
  });
});

describe('x-kvoyant-pin', () => {
  it('sends a request to the named worker', async () => {
    const gateway = await gatewayOf(2);
    for (const { url } of [...fleet.workers, ...fleet.workers]) {
      const told = `${clientIdOf(url)}#0`;
      for (const pin of [`${url}#0`, told]) {
        const { status, headers } = await complete(gateway, {}, { 'x-kvoyant-pin': pin });
        expect([status, headers['x-kvoyant-worker']]).toEqual([200, told]);
      }
    }
  });

  it('is refused by name if there is no such worker, and with 503 if that worker is not ready', async () => {
    const gateway = await gatewayOf(2);
    const unknown = await complete(gateway, {}, { 'x-kvoyant-pin': 'nowhere#0' });
    expect([unknown.status, JSON.parse(unknown.body).error.param]).toEqual([400, 'x-kvoyant-pin']);
    const router = gateway.router(model)!;
    const [first] = router.loads();
    router.setRoutable(first!.index, false);
    const { status, body } = await complete(gateway, {}, { 'x-kvoyant-pin': first!.id });
    expect([status, JSON.parse(body).error.code]).toEqual([503, 'pinned_worker_not_ready']);
  });

  it('does not block requests for other workers while its worker is full', async () => {
    const gateway = await gatewayOf(2);
    const pin = { 'x-kvoyant-pin': `${fleet.workers[0]!.url}#0` };
    const busy = complete(gateway, { max_tokens: 100 }, pin);
    const pinned = Promise.all(Array.from({ length: 8 }, () => complete(gateway, {}, pin)));
    await waits(gateway, 8);
    const { status, headers } = await complete(gateway);
    expect([status, headers['x-kvoyant-worker']]).toEqual([200, `${clientIdOf(fleet.workers[1]!.url)}#0`]);
    await Promise.all([busy, pinned]);
  });
});

describe('session affinity', () => {
  const costs = async (gateway: Gateway): Promise<number[]> => {
    const { decisions } = (await getJson(gateway, '/decisions/last')) as {
      decisions: readonly { candidates: readonly { affinityTokens: number }[] }[];
    };
    return decisions.at(-1)!.candidates.map(({ affinityTokens }) => affinityTokens);
  };

  it.each([
    ['header', {}, { 'x-kvoyant-session': 'mine' }],
    ['prompt_cache_key', { prompt_cache_key: 'mine' }, {}],
    ['user', { user: 'mine' }, {}],
  ] as const)('by %s: the last worker has a visibly lower cost', async (_by, more, headers) => {
    const gateway = await gatewayOf(2, { policy: 'kv', sessionCreditTokens: 50 });
    const first = await complete(gateway, more, headers);
    await atRest(gateway);
    const again = await complete(gateway, more, { 'x-request-id': 'last', ...headers });
    expect(again.headers['x-kvoyant-worker']).toBe(first.headers['x-kvoyant-worker']);
    expect((await costs(gateway)).sort((a, b) => a - b)).toEqual([0, 50]);
  });
});
