// What clients do with a stored response reaches the engine that holds it, and no other where that is known.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { enginesAskedMax } from '../../src/gateway/http/stored-responses.ts';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type FakeEngine, type FakeRequest, replyJson } from './fake-engine.ts';
import { atRest, eventually, getJson, Harness, post } from './harness.ts';
import { answerOther, bodyOf } from './other-apis.ts';

const counts = { promptTokens: 100, cachedTokens: 0, outputTokens: 3 };
const secret = (name: string): string => `${name}-secret-00000000001`;

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

/** Answers as vLLM does, and deletes as OpenAI does. */
function keepsResponses(engine: FakeEngine): void {
  const kept = new Map<string, object>();
  let made = 0;
  engine.behaviour = (request) => {
    const { method, path, response } = request;
    const [, id, of = ''] = /^\/v1\/responses\/([^/?]+)(\/\w+)?/.exec(path) ?? [];
    if (id === undefined) {
      made += 1;
      const own = `resp_${engine.port}_${made}`;
      kept.set(own, { id: own, object: 'response', status: 'completed', from: engine.port });
      answerOther('responses', request, counts, own);
      return;
    }
    const found = kept.get(id);
    if (found === undefined) {
      replyJson(response, 404, { error: { message: `Response with id '${id}' not found.`, code: 404 } });
    } else if (method === 'DELETE') {
      kept.delete(id);
      replyJson(response, 200, { id, object: 'response', deleted: true });
    } else if (of === '/cancel') replyJson(response, 200, { ...found, status: 'cancelled' });
    else if (of === '/input_items') replyJson(response, 200, { object: 'list', data: [], of: id });
    else if (path.includes('stream=true')) streamEvents(request);
    else replyJson(response, 200, found);
  };
}

function streamEvents({ response }: FakeRequest): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.end('event: response.completed\ndata: {"sequence_number":7}\n\n');
}

async function started(
  count: number,
  options: GatewayOptions = {},
): Promise<{ gateway: Gateway; engines: readonly FakeEngine[] }> {
  const engines = await harness.engines(count);
  for (const engine of engines) keepsResponses(engine);
  return { gateway: await harness.gateway({ workers: engines.map(({ url }) => url), ...options }), engines };
}

async function make(gateway: Gateway, headers = {}): Promise<string> {
  const { status, body } = await post(gateway, '/v1/responses', bodyOf('responses', 'hello'), headers);
  expect(status).toBe(200);
  return (JSON.parse(body) as { id: string }).id;
}

interface Called {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: any answer
  readonly body: any;
}

async function call(gateway: Gateway, method: string, path: string, headers = {}): Promise<Called> {
  const response = await fetch(`${gateway.url}/v1/responses/${path}`, { method, headers });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
}

const asked = (engines: readonly FakeEngine[]): number[] => engines.map(({ requests }) => requests.length);
const unknown = { error: { type: 'invalid_request_error', code: 'response_not_found', param: 'response_id' } };

it('goes to the engine that holds it, whatever is done', async () => {
  const { gateway, engines } = await started(3, { policy: 'round-robin' });
  for (let i = 0; i < 3; i++) {
    const id = await make(gateway);
    const holder = engines.findIndex(({ port }) => id.startsWith(`resp_${port}_`));
    const before = asked(engines);
    const from = engines[holder]!.port;
    expect(await call(gateway, 'GET', id)).toMatchObject({ status: 200, body: { id, from } });
    expect(await call(gateway, 'GET', `${id}/input_items?limit=2`)).toMatchObject({ status: 200, body: { of: id } });
    expect(await call(gateway, 'POST', `${id}/cancel`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect((await call(gateway, 'GET', `${id}?stream=true&starting_after=6`)).body).toContain('"sequence_number":7');
    expect(engines[holder]!.requests.at(-1)!.path).toBe(`/v1/responses/${id}?stream=true&starting_after=6`);
    expect(await call(gateway, 'HEAD', id)).toEqual({ status: 200, body: '' });
    expect(asked(engines)).toEqual(before.map((count, index) => (index === holder ? count + 5 : count)));
    expect(await call(gateway, 'DELETE', id)).toMatchObject({ status: 200, body: { deleted: true } });
    expect((await call(gateway, 'GET', id)).status).toBe(404);
  }
  await atRest(gateway);
});

it('that the gateway does not know is looked for at every engine', async () => {
  const { gateway, engines } = await started(3, { policy: 'round-robin' });
  const ids = [await make(gateway), await make(gateway), await make(gateway)];
  const restarted = await harness.gateway({ workers: engines.map(({ url }) => url) });
  for (const id of ids) {
    expect(await call(restarted, 'GET', id)).toMatchObject({ status: 200, body: { id } });
    expect(await call(restarted, 'POST', `${id}/cancel`)).toMatchObject({ status: 200, body: { id } });
    expect((await call(restarted, 'DELETE', id)).status).toBe(200);
  }
  const before = asked(engines);
  expect(await call(restarted, 'GET', 'resp_none')).toMatchObject({ status: 404, body: unknown });
  expect(asked(engines)).toEqual(before.map((count) => count + 1));
  // Too long for any: no engine is asked.
  expect(await call(restarted, 'GET', 'x'.repeat(300))).toMatchObject({ status: 404, body: unknown });
  expect(asked(engines)).toEqual(before.map((count) => count + 1));
  // A refusal says nothing bad of an engine.
  const { workers } = (await getJson(restarted, '/workers')) as { workers: { state: string }[] };
  expect(workers.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready']);
  // One that does not answer may be the one that holds it.
  engines[1]!.behaviour = ({ socket }) => socket.destroy();
  expect((await call(restarted, 'GET', 'resp_none')).status).toBe(502);
  await atRest(restarted);
});

it('is found at a drained engine, and at one that is gone no more', async () => {
  const { gateway, engines } = await started(2);
  const id = await make(gateway);
  const holder = engines.find(({ port }) => id.startsWith(`resp_${port}_`))!;
  const worker = encodeURIComponent(holder.url);
  await fetch(`${gateway.adminUrl}/workers/${worker}/drain`, { method: 'POST' });
  expect((await call(gateway, 'GET', id)).status).toBe(200);
  await fetch(`${gateway.adminUrl}/workers/${worker}`, { method: 'DELETE' });
  await eventually(async () => (await call(gateway, 'GET', id)).status === 404);
});

it('of another key does not exist, and a key asks only engines of its models', async () => {
  const [one, two] = [await harness.engine({ models: ['one'] }), await harness.engine({ models: ['two'] })];
  for (const engine of [one, two]) keepsResponses(engine);
  const keyOf = (name: string, more = {}) => ({ name, key: secret(name), ...more });
  const options = {
    workers: [one.url, two.url],
    models: [{ name: 'alias', model: 'two' }],
    apiKeys: [keyOf('a'), keyOf('b'), keyOf('narrow', { models: ['alias'] })],
  };
  const bearer = (name: string) => ({ authorization: `Bearer ${secret(name)}` });
  const gateway = await harness.gateway(options, 2, ['one', 'two']);
  const body = { ...bodyOf('responses', 'hello'), model: 'one' };
  const id = (JSON.parse((await post(gateway, '/v1/responses', body, bearer('a'))).body) as { id: string }).id;
  expect((await call(gateway, 'GET', id)).status).toBe(401);
  expect((await call(gateway, 'GET', id, bearer('a'))).status).toBe(200);
  const before = asked([one, two]);
  expect(await call(gateway, 'GET', id, bearer('b'))).toMatchObject({ status: 404, body: unknown });
  expect(asked([one, two])).toEqual(before);
  // Not known to this one, and so left to the secrecy of the id; engines of other models are not asked.
  const restarted = await harness.gateway(options, 2, ['one', 'two']);
  expect((await call(restarted, 'GET', id, bearer('narrow'))).status).toBe(404);
  expect(asked([one, two])).toEqual([before[0], before[1]! + 1]);
  expect((await call(restarted, 'GET', id, bearer('b'))).status).toBe(200);
});

it('is not looked for at more engines than the limit', async () => {
  const { gateway, engines } = await started(enginesAskedMax + 2);
  expect(await call(gateway, 'GET', 'resp_none')).toMatchObject({ status: 404, body: unknown });
  expect(asked(engines).reduce((sum, count) => sum + count, 0)).toBe(enginesAskedMax);
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  expect(metrics).toContain('kvoyant_limited_total{limit="enginesAskedMax"} 1');
});

it.each([
  ['PUT', 'resp_1', 405],
  ['POST', 'resp_1', 405],
  ['GET', 'resp_1/cancel', 405],
  ['GET', 'resp_1/nonsense', 404],
  ['GET', 'resp_1/input_items/more', 404],
  ['GET', '%ff', 404],
  ['GET', 'resp_1%2F..%2F..%2Fmetrics', 404],
  ['POST', 'a%2Fb/cancel', 404],
  ['DELETE', 'a%3Fb', 404],
  ['GET', '', 404],
])('%s %s is refused, and reaches no engine', async (method, path, status) => {
  const { gateway, engines } = await started(1);
  expect((await call(gateway, method, path)).status).toBe(status);
  expect(asked(engines)).toEqual([0]);
});
