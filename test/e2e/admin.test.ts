// Workers added and removed while the gateway runs: by operators, files and host names.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { endStream, type FakeEngine, type FakeRequest, openStream, sendToken } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';
import { LookUpFailure, nameTable } from './name-table.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

interface Shown {
  readonly url: string;
  readonly state: string;
  readonly draining: boolean;
  readonly drained: boolean;
  readonly leaving: boolean;
  readonly requestsInFlight: number;
}

async function shown(gateway: Gateway): Promise<readonly Shown[]> {
  return ((await getJson(gateway, '/workers')) as { workers: Shown[] }).workers;
}

async function call(gateway: Gateway, method: string, path: string, body?: unknown) {
  const response = await fetch(gateway.adminUrl + path, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return {
    status: response.status,
    body: (await response.json()) as Shown & { error?: { code: string; param: string } },
  };
}

describe('one worker', () => {
  it("is described as in the list, by its id or its engine's address", async () => {
    const cache = [0, 1].map((rank) => `vllm:cache_config_info{block_size="16",engine="${rank}"} 1.0\n`).join('');
    const engines = [await harness.engine(), await harness.engine({ metrics: cache })];
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const all = (await shown(gateway)) as unknown as { id: string; url: string }[];
    expect(all.map(({ id }) => id)).toEqual([`${engines[0]!.url}#0`, `${engines[1]!.url}#0`, `${engines[1]!.url}#1`]);
    for (const worker of all) {
      const one = await call(gateway, 'GET', `/workers/${encodeURIComponent(worker.id)}`);
      expect(Object.keys(one.body)).toEqual(Object.keys(worker));
      expect(one.body).toMatchObject({ id: worker.id, trust: { kind: 'approximate' }, feed: null });
      const first = await call(gateway, 'GET', `/workers/${encodeURIComponent(worker.url)}`);
      expect(first.body).toMatchObject({ id: `${worker.url}#0` });
    }
  });
});

const idOf = (engine: FakeEngine): string => encodeURIComponent(`${engine.url}#0`);

/** From now on every answer sends a token, then waits for `endAll`. */
function holdStreams(engine: FakeEngine): { readonly held: FakeRequest[]; endAll(): void } {
  const held: FakeRequest[] = [];
  engine.behaviour = (request) => {
    openStream(request);
    sendToken(request, 'a');
    held.push(request);
  };
  return {
    held,
    endAll: () => {
      for (const request of held.splice(0)) endStream(request, 5, 1);
    },
  };
}

const stream = (gateway: Gateway) => post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });

describe('draining a worker', () => {
  it('stops new requests, lets running ones end, reports when it is empty, and can be undone', async () => {
    const [a, b] = (await harness.engines(2)) as [FakeEngine, FakeEngine];
    const onA = holdStreams(a);
    const gateway = await harness.gateway({ workers: [a.url, b.url], policy: 'round-robin' });
    const running = [stream(gateway), stream(gateway)];
    await eventually(() => onA.held.length === 1);
    const drained = await call(gateway, 'POST', `/workers/${idOf(a)}/drain`);
    expect(drained).toMatchObject({ status: 200, body: { url: a.url, draining: true, drained: false } });
    for (let i = 0; i < 4; i++)
      expect((await stream(gateway)).headers['x-kvoyant-worker']).toBe(`${clientIdOf(b.url)}#0`);
    for (let i = 0; i < 4; i++) {
      expect((await post(gateway, '/v1/embeddings', { model: 'fake' })).headers['x-kvoyant-worker']).toBe(
        `${clientIdOf(b.url)}#0`,
      );
    }
    expect((await shown(gateway)).map(({ drained }) => drained)).toEqual([false, false]);
    onA.endAll();
    for (const { body } of await Promise.all(running)) expect(body).toContain('[DONE]');
    await eventually(async () => (await shown(gateway))[0]!.drained);
    expect((await call(gateway, 'DELETE', `/workers/${idOf(a)}/drain`)).body).toMatchObject({ draining: false });
    const back = [stream(gateway), stream(gateway)];
    await eventually(() => onA.held.length === 1);
    onA.endAll();
    await Promise.all(back);
  });

  it('makes the gateway not ready if it was the last worker', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    await call(gateway, 'POST', `/workers/${idOf(engine)}/drain`);
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(503);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    expect(await stream(gateway)).toMatchObject({ status: 503 });
    await call(gateway, 'DELETE', `/workers/${idOf(engine)}/drain`);
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(200);
  });
});

describe('workers added and removed by operators', () => {
  it('are added, and removed once they are empty', async () => {
    const [a, b] = (await harness.engines(2)) as [FakeEngine, FakeEngine];
    const gateway = await harness.gateway({ workers: [a.url] });
    expect(await call(gateway, 'POST', '/workers', { url: b.url, capacityBlocks: 77 })).toMatchObject({ status: 201 });
    await gateway.whenReady(5000, 2);
    expect(
      gateway
        .router('fake')!
        .loads()
        .map(({ capacityBlocks }) => capacityBlocks),
    ).toEqual([8192, 77]);
    const onA = holdStreams(a);
    const onB = holdStreams(b);
    const running = [stream(gateway), stream(gateway)];
    await eventually(() => onA.held.length === 1 && onB.held.length === 1);
    const removal = await call(gateway, 'DELETE', `/workers/${encodeURIComponent(a.url)}`);
    expect(removal).toMatchObject({ status: 202, body: { draining: true, leaving: true, requestsInFlight: 1 } });
    expect((await call(gateway, 'DELETE', `/workers/${idOf(a)}/drain`)).status).toBe(409);
    onA.endAll();
    await eventually(async () => (await shown(gateway)).length === 1);
    onB.endAll();
    for (const { body } of await Promise.all(running)) expect(body).toContain('[DONE]');
    expect(gateway.router('fake')!.loads()).toHaveLength(1);
    expect((await call(gateway, 'POST', '/workers', a.url)).status).toBe(400);
    expect((await call(gateway, 'POST', '/workers', JSON.stringify(a.url))).status).toBe(201);
    await gateway.whenReady(5000, 2);
  });

  it('are cut at the deadline if they are not empty by then', async () => {
    const [a, b] = (await harness.engines(2)) as [FakeEngine, FakeEngine];
    holdStreams(a);
    const gateway = await harness.gateway({ workers: [a.url, b.url], policy: 'round-robin', workerDrainMsMax: 50 });
    const running = [stream(gateway), stream(gateway)];
    await eventually(() => a.requests.length === 1);
    await call(gateway, 'DELETE', `/workers/${idOf(a)}`);
    const answers = await Promise.all(running);
    expect(answers.filter(({ body }) => body.includes('"error"'))).toHaveLength(1);
    expect(answers.filter(({ body }) => body.includes('[DONE]'))).toHaveLength(1);
    expect(await shown(gateway)).toHaveLength(1);
  });

  it('stay if they are added again before they are removed', async () => {
    const engine = await harness.engine();
    const { held, endAll } = holdStreams(engine);
    const gateway = await harness.gateway({ workers: [engine.url] });
    const running = stream(gateway);
    await eventually(() => held.length === 1);
    await call(gateway, 'DELETE', `/workers/${idOf(engine)}`);
    expect((await call(gateway, 'POST', '/workers', { url: engine.url })).status).toBe(201);
    await eventually(async () => !(await shown(gateway))[0]!.draining);
    const router = gateway.router('fake')!;
    expect(router.loads()[0]!.runningRequests).toBe(1);
    endAll();
    expect((await running).body).toContain('[DONE]');
    expect(router.loads()[0]!.incarnation).toBe(gateway.router('fake')!.loads()[0]!.incarnation);
  });

  it('are changed by removing and adding them', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const changed = await call(gateway, 'PATCH', `/workers/${idOf(engine)}`, {
      capacityBlocks: 9,
      apiKey: 'of-engine',
    });
    expect(changed.status).toBe(202);
    await eventually(() => gateway.router('fake')?.loads()[0]?.capacityBlocks === 9);
    await gateway.whenReady(5000, 1);
    await stream(gateway);
    expect(engine.requests[0]!.headers.authorization).toBe('Bearer of-engine');
    await call(gateway, 'PATCH', `/workers/${idOf(engine)}`, { apiKey: null });
    await eventually(async () => (await shown(gateway))[0]?.state === 'ready');
    await stream(gateway);
    expect(engine.requests[1]!.headers.authorization).toBe(undefined);
    expect(gateway.router('fake')!.loads()[0]!.capacityBlocks).toBe(9);
  });

  it('are refused with the fault', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (const [method, path, body, status, code, param] of [
      ['POST', '/workers', { url: engine.url }, 409, 'worker_exists', 'url'],
      ['POST', '/workers', { url: 'nowhere' }, 400, 'invalid_value', 'url'],
      ['POST', '/workers', { url: 'http://x', blockSize: 0 }, 400, 'invalid_value', 'blockSize'],
      ['POST', '/workers', { url: 'http://x', speed: 1 }, 400, 'invalid_value', 'speed'],
      ['POST', '/workers', { url: 'dns+http://x' }, 400, 'invalid_value', 'url'],
      ['POST', '/workers', '{', 400, 'invalid_json', null],
      ['PATCH', `/workers/${idOf(engine)}`, { url: 'http://x' }, 400, 'invalid_value', 'url'],
      ['PATCH', '/workers/http%3A%2F%2Fx', {}, 404, 'worker_not_found', null],
      ['DELETE', '/workers/%ff', undefined, 400, 'invalid_value', 'id'],
      ['PUT', `/workers/${idOf(engine)}`, {}, 405, 'method_not_allowed', null],
    ] as const) {
      expect(await call(gateway, method, path, body)).toMatchObject({ status, body: { error: { code, param } } });
    }
    expect(await shown(gateway)).toHaveLength(1);
  });
});

describe('workers by name', () => {
  it('follow the addresses of the name; a failing name server removes none', async () => {
    const engine = await harness.engine();
    const names = nameTable({ 'engines.test': ['127.0.0.1'] });
    const gateway = await harness.gateway(
      { workers: [`dns+http://engines.test:${engine.port}`], dnsIntervalMs: 10 },
      0,
      ['fake'],
      { resolve: names.resolve },
    );
    await gateway.whenReady(5000, 1);
    expect((await shown(gateway)).map(({ url }) => url)).toEqual([engine.url]);
    const second = `http://127.0.0.2:${engine.port}`;
    names.table['engines.test'] = ['127.0.0.2', '127.0.0.1'];
    await eventually(async () => (await shown(gateway)).some(({ url }) => url === second));
    names.table['engines.test'] = new LookUpFailure('no such name');
    const asked = names.lookUps;
    await eventually(() => names.lookUps > asked + 3);
    expect(await shown(gateway)).toHaveLength(2);
    names.table['engines.test'] = ['127.0.0.1'];
    await eventually(async () => (await shown(gateway)).length === 1);
    await stream(gateway);
  });
});

describe('workers in a file of their own', () => {
  it('follow the changes of the file', async () => {
    const folder = new TemporaryFolder();
    const [a, b] = (await harness.engines(2)) as [FakeEngine, FakeEngine];
    const options = { workersFile: folder.write('w.yaml', `- ${a.url}\n`) };
    const gateway = await harness.gateway(options, 1);
    folder.write('w.yaml', `- url: ${b.url}\n  capacityBlocks: 5\n`);
    await gateway.reload(() => ({ port: 0, logLevel: 'silent', ...options }));
    await eventually(() => gateway.router('fake')?.loads()[0]?.capacityBlocks === 5);
    expect((await shown(gateway)).map(({ url }) => url)).toEqual([b.url]);
    folder.remove();
  });
});
