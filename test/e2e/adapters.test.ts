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
    expect((await post(gateway, '/v1/load_lora_adapter', JSON.parse(adapter))).status).toBe(404);
    expect(other.requests.length).toBe(0);
    await holder.close();
    const unreached = await act('load_lora_adapter', adapter);
    expect(unreached.status).toBe(502);
    expect(JSON.parse(unreached.body)).toMatchObject({ error: { code: 'upstream_failed' } });
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
