import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { endStream, type FakeEngine, type FakeRequest, replyWhole, sendToken } from './fake-engine.ts';
import { atRest, chatBody, eventually, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const statusOf = async (gateway: Gateway, model: string): Promise<number> =>
  (await post(gateway, '/v1/completions', { model, prompt: 'x', max_tokens: 1 })).status;

async function listed(gateway: Gateway): Promise<string[]> {
  const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
  return data.map(({ id }) => id);
}

const served = (engine: FakeEngine): number => engine.requests.filter(({ body }) => body.includes('"tuned"')).length;

describe('an adapter', () => {
  it('that an engine loads is served by that engine; unloading it ends no stream and no booking', async () => {
    const [holder, other] = [await harness.engine(), await harness.engine()];
    for (const engine of [holder, other]) engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({ workers: [holder.url, other.url], policy: 'round-robin' });
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    holder.models = ['fake', 'tuned'];
    await eventually(async () => (await listed(gateway)).includes('tuned'), 30_000);
    for (let i = 0; i < 4; i++) expect(await statusOf(gateway, 'tuned')).toBe(200);
    expect([served(holder), served(other)]).toEqual([4, 0]);
    let finish: (() => void) | null = null;
    holder.behaviour = (request) => {
      if (request.path !== '/v1/chat/completions') return replyWhole(request, 'hi');
      const heartbeat = setInterval(() => request.response.write(': \n\n'), 500);
      request.response.writeHead(200, { 'content-type': 'text/event-stream' });
      finish = () => {
        clearInterval(heartbeat);
        sendToken(request, 'a', 'stop');
        endStream(request, 10, 1);
      };
    };
    const streaming = post(gateway, '/v1/chat/completions', { ...chatBody, model: 'tuned', stream: true });
    await eventually(() => finish !== null);
    holder.models = ['fake'];
    await eventually(async () => !(await listed(gateway)).includes('tuned'), 30_000);
    const running = (await loads(gateway)).workers.map(({ runningRequests }) => runningRequests);
    expect(running).toEqual([1, 0]);
    expect((await loads(gateway)).workers[0]).toMatchObject({ viewEpoch: 0 });
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    expect(await statusOf(gateway, 'fake')).toBe(200);
    finish!();
    expect((await streaming).body).toContain('[DONE]');
    await atRest(gateway);
  }, 60_000);

  it('that an operator loads or unloads through the gateway is routable, or gone, with the next request', async () => {
    const [holder, other] = [await harness.engine(), await harness.engine()];
    for (const engine of [holder, other]) engine.behaviour = (request) => loadOrReply(engine, request);
    const gateway = await harness.gateway({
      workers: [{ url: holder.url, apiKey: 'the-key-of-the-engine' }, { url: other.url }],
      adminKey: 'the-key-of-the-operator',
      viewKey: 'the-key-of-the-viewer',
    });
    const act = async (action: string, body: string, key = 'the-key-of-the-operator') => {
      const path = `/workers/${encodeURIComponent(holder.url)}/${action}`;
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const response = await fetch(gateway.adminUrl + path, { method: 'POST', headers, body });
      return { status: response.status, body: await response.text() };
    };
    const adapter = '{"lora_name":"tuned", "lora_path":"/adapters/tuned"}';
    expect((await act('load_lora_adapter', adapter, 'the-key-of-the-viewer')).status).toBe(403);
    expect(holder.requests.length).toBe(0);
    expect(await act('load_lora_adapter', adapter)).toEqual({ status: 200, body: 'Success' });
    expect(holder.requests[0]).toMatchObject({
      path: '/v1/load_lora_adapter',
      body: adapter,
      headers: { authorization: 'Bearer the-key-of-the-engine' },
    });
    expect(await statusOf(gateway, 'tuned')).toBe(200);
    const again = await act('load_lora_adapter', adapter);
    expect([again.status, JSON.parse(again.body)]).toEqual([400, { error: { message: 'loaded already' } }]);
    expect((await act('unload_lora_adapter', '{"lora_name":"tuned"}')).status).toBe(200);
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    expect((await post(gateway, '/v1/load_lora_adapter', JSON.parse(adapter))).status).toBe(401);
    expect(other.requests.length).toBe(0);
    await holder.close();
    const unreached = await act('load_lora_adapter', adapter);
    expect(unreached.status).toBe(502);
    expect(JSON.parse(unreached.body)).toMatchObject({ error: { code: 'upstream_failed' } });
  });
});

describe('an adapter of a pool', () => {
  const keys = { adminKey: 'the-key-of-the-operator', viewKey: 'the-key-of-the-viewer' };
  const adapter = '{"lora_name":"tuned",  "lora_path":"/adapters/tuned"}';

  interface Outcome {
    readonly engine: string;
    readonly outcome: string;
    readonly status: number | null;
    readonly answer: string;
  }

  interface Changed {
    readonly status: number;
    readonly body: {
      readonly pool?: string;
      readonly engines?: readonly Outcome[];
      readonly error?: { readonly code: string; readonly message: string };
    };
  }

  async function change(gateway: Gateway, url: string, body = adapter, key = keys.adminKey): Promise<Changed> {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body });
    expect(gateway.url).not.toBe('');
    return { status: response.status, body: (await response.json()) as Changed['body'] };
  }

  async function loading(count: number): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
    const engines = await harness.engines(count);
    for (const engine of engines) engine.behaviour = (request) => loadOrReply(engine, request);
    return { gateway: await harness.gateway({ workers: engines.map(({ url }) => url), ...keys }), engines };
  }

  const outcomes = ({ body }: Changed): string[] => (body.engines ?? []).map(({ outcome }) => outcome);

  it("is loaded at all its engines and unloaded there, at either port, with the operator's key only", async () => {
    const { gateway, engines } = await loading(3);
    for (const port of [gateway.url, gateway.adminUrl!]) {
      const load = `${port}/v1/load_lora_adapter`;
      expect((await change(gateway, load, adapter, 'a-key-of-some-client')).status).toBe(401);
      expect((await change(gateway, load, adapter, keys.viewKey)).status).toBe(403);
      const loaded = await change(gateway, load);
      expect([loaded.status, outcomes(loaded), loaded.body.pool]).toEqual([200, ['done', 'done', 'done'], 'fake']);
      for (const { requests } of engines)
        expect(requests.at(-1)).toMatchObject({ path: '/v1/load_lora_adapter', body: adapter });
      expect(await statusOf(gateway, 'tuned')).toBe(200);
      // Once more changes nothing.
      expect(outcomes(await change(gateway, load))).toEqual(['unchanged', 'unchanged', 'unchanged']);
      const unloaded = await change(gateway, `${port}/v1/unload_lora_adapter`, '{"lora_name":"tuned"}');
      expect([unloaded.status, outcomes(unloaded)]).toEqual([200, ['done', 'done', 'done']]);
      expect(await statusOf(gateway, 'tuned')).toBe(404);
    }
  });

  it('that some engines fail to load is said clearly, and served by the others', async () => {
    const { gateway, engines } = await loading(3);
    const [broken, dead] = engines as [FakeEngine, FakeEngine, FakeEngine];
    broken.behaviour = ({ response }) => {
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end('{"error":{"message":"no such file"}}');
    };
    await dead.close();
    const changed = await change(gateway, `${gateway.url}/v1/load_lora_adapter`);
    expect([changed.status, changed.body.error?.code]).toEqual([502, 'adapters_partly_changed']);
    expect(changed.body.error?.message).toContain('failed at 2 of 3 engines');
    expect(changed.body.engines).toMatchObject([
      { engine: broken.url, outcome: 'failed', status: 400, answer: '{"error":{"message":"no such file"}}' },
      { engine: dead.url, outcome: 'failed', status: null },
      { outcome: 'done', status: 200, answer: 'Success' },
    ]);
    expect(await statusOf(gateway, 'tuned')).toBe(200);
    // The cause is mended: sent again, it changes the rest.
    broken.behaviour = (request) => loadOrReply(broken, request);
    const again = await change(gateway, `${gateway.url}/v1/load_lora_adapter`);
    expect(outcomes(again)).toEqual(['done', 'failed', 'unchanged']);
  });

  it('that every engine refuses alike gets their status', async () => {
    const { gateway, engines } = await loading(2);
    for (const engine of engines) {
      engine.behaviour = ({ response }) => {
        response.writeHead(404, { 'content-type': 'text/plain' });
        response.end('no file '.repeat(1000));
      };
    }
    const refused = await change(gateway, `${gateway.url}/v1/load_lora_adapter`);
    expect([refused.status, refused.body.error?.code]).toEqual([404, 'adapters_unchanged']);
    expect(refused.body.engines?.[0]?.answer).toHaveLength(1000);
  });

  it('needs a name, and among several pools one of their models', async () => {
    const [one, other] = [await harness.engine({ models: ['fake'] }), await harness.engine({ models: ['other'] })];
    for (const engine of [one, other]) engine.behaviour = (request) => loadOrReply(engine, request);
    const gateway = await harness.gateway({ workers: [one.url, other.url], ...keys }, 2, ['fake', 'other']);
    const load = `${gateway.url}/v1/load_lora_adapter`;
    for (const body of ['', '{', 'null', '[]', '{"lora_name":7}', '{"lora_name":""}']) {
      expect((await change(gateway, `${load}?model=other`, body)).status).toBe(400);
    }
    expect((await change(gateway, load)).body.error?.code).toBe('missing_model');
    expect((await change(gateway, `${load}?model=none`)).status).toBe(404);
    expect((await change(gateway, `${load}?model=other`)).status).toBe(200);
    expect([one.models, other.models]).toEqual([['fake'], ['other', 'tuned']]);
    // An adapter that is loaded names its pool.
    expect((await change(gateway, `${gateway.url}/v1/unload_lora_adapter`)).status).toBe(200);
    expect(other.models).toEqual(['other']);
    expect((await fetch(load)).status).toBe(401);
  });
});

/** Like vLLM's two routes for adapters. */
function loadOrReply(engine: FakeEngine, request: FakeRequest): void {
  const loads = request.path === '/v1/load_lora_adapter';
  if (!loads && request.path !== '/v1/unload_lora_adapter') {
    replyWhole(request, 'hi');
    return;
  }
  const { lora_name: name } = JSON.parse(request.body) as { lora_name: string };
  if (loads && engine.models.includes(name)) {
    request.response.writeHead(400, { 'content-type': 'application/json' });
    request.response.end('{"error":{"message":"loaded already"}}');
    return;
  }
  engine.models = loads ? [...engine.models, name] : engine.models.filter((model) => model !== name);
  request.response.end('Success');
}
