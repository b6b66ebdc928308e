// Names of the setting `models`: aliases, splits and fallbacks over pools, on every route, as engines and operators see them.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type FakeEngine, replyJson, streamTokens } from './fake-engine.ts';
import { type Answer, atRest, eventually, getJson, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

interface Decided {
  readonly requestId: string;
  readonly model: string;
  readonly pool: string;
  readonly asked: string;
  readonly way: string;
  readonly attempt: number;
  readonly policy: string;
  readonly known: string;
  readonly outcome: string;
}

async function decisions(gateway: Gateway): Promise<readonly Decided[]> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Decided[] }).decisions;
}

async function metricsOf(gateway: Gateway): Promise<string> {
  return (await fetch(`${gateway.adminUrl}/metrics`)).text();
}

const routed = ({ status, headers }: Answer): unknown[] => [
  status,
  headers['x-kvoyant-pool'],
  headers['x-kvoyant-model'],
  headers['x-kvoyant-route'],
];

const chat = (model: string, more = {}) => ({ model, messages: [{ role: 'user', content: 'hi' }], ...more });
const ask = (gateway: Gateway, model: string, headers: Record<string, string> = {}): Promise<Answer> =>
  post(gateway, '/v1/chat/completions', chat(model, { stream: true }), headers);

/** The gateway's configuration, to be changed in part. */
function current({ config }: Gateway): GatewayOptions {
  const { apiKeys: _, ...rest } = config;
  return rest;
}

/** Two pools that list the same model. */
async function stableAndCanary(
  options: GatewayOptions,
): Promise<{ stable: FakeEngine; canary: FakeEngine; gateway: Gateway }> {
  const stable = await harness.engine({ models: ['llama'] });
  const canary = await harness.engine({ models: ['llama', 'llama-next'] });
  const gateway = await harness.gateway({
    workers: [
      { url: stable.url, pool: 'stable' },
      { url: canary.url, pool: 'canary' },
    ],
    pools: ['stable', 'canary'],
    ...options,
  });
  return { stable, canary, gateway };
}

describe('an alias', () => {
  const bodies: readonly [path: string, type: string, body: string][] = [
    [
      '/v1/chat/completions',
      'application/json',
      '{ "temperature": 1.0, "seed":12345678901234567890,\n "model" : "fast", "messages":[{"role":"user","content":"\\u00e9 \\"model\\":\\"fast\\""}], "10":1, "2":2 }',
    ],
    ['/v1/completions', 'application/json', '{"prompt":[1,2,3],"model":"fast","n":1,"logit_bias":{"2":1.50,"1":-0}}'],
    ['/v1/responses', 'application/json', '{"input":"a","model":"fast","metadata":{"model":"fast"}}'],
    ['/v1/messages', 'application/json', '{"max_tokens":1e1,"m\\u006fdel":"fast","messages":[]}'],
    ['/v1/embeddings', 'application/json', '\n{"model":"fast","input":["fast"],"dimensions":16}\n'],
    [
      '/v1/audio/transcriptions',
      'multipart/form-data; boundary=q',
      '--q\r\nContent-Disposition: form-data; name="model"\r\n\r\nfast\r\n--q\r\nContent-Disposition: form-data; name="file"; filename="fast"\r\n\r\nfast\r\n--q--\r\n',
    ],
  ];
  /** The one place where the body names the model. */
  const named = /(?<=(model|m\\u006fdel)" ?: ?)"fast"(?=[,} ])(?!}})|(?<=name="model"\r\n\r\n)fast/;

  it.each(bodies)(
    'at %s reaches the engine as its own name, with every other byte as it was',
    async (path, type, body) => {
      const engine = await harness.engine({ models: ['org/llama:8b'] });
      engine.behaviour = ({ response }) => replyJson(response, 200, { ok: true });
      const gateway = await harness.gateway({ workers: [engine.url], models: ['fast=org/llama:8b'] });
      const answer = await post(gateway, path, body, { 'content-type': type });
      expect(routed(answer)).toEqual([200, 'org/llama:8b', 'org/llama:8b', 'alias']);
      const expected = body.replace(named, (text) => (text === 'fast' ? 'org/llama:8b' : '"org/llama:8b"'));
      expect(expected).not.toBe(body);
      expect(engine.requests.map((request) => request.body)).toEqual([expected]);
      expect(engine.requests[0]!.headers['content-length']).toBe(String(Buffer.byteLength(expected)));
      await atRest(gateway);
    },
  );

  it('is told by /v1/models, /workers, decisions, metrics and the request log', async () => {
    const engine = await harness.engine({ models: ['llama-8b'] });
    const log = new LogLines();
    const gateway = await harness.gateway(
      { workers: [engine.url], models: ['fast=llama-8b', 'gone=nothing'], logLevel: 'info', logRequests: true },
      undefined,
      ['llama-8b'],
      { logTo: log },
    );
    expect((await ask(gateway, 'fast')).status).toBe(200);
    const direct = await ask(gateway, 'llama-8b');
    expect(routed(direct)).toEqual([200, undefined, undefined, undefined]);
    const listed = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: object[] };
    expect(listed.data).toMatchObject([
      { id: 'llama-8b', owned_by: 'test' },
      { id: 'fast', object: 'model', created: 1, owned_by: 'kvoyant', root: 'llama-8b', parent: null },
    ]);
    const one = await fetch(`${gateway.url}/v1/models/fast`);
    expect([one.status, await one.json()]).toMatchObject([200, { id: 'fast' }]);
    expect((await fetch(`${gateway.url}/v1/models/gone`)).status).toBe(404);
    const { workers } = (await getJson(gateway, '/workers')) as { workers: object[] };
    expect(workers).toMatchObject([{ routes: [{ asked: 'fast', model: 'llama-8b', way: 'alias' }] }]);
    expect(await decisions(gateway)).toMatchObject([
      { asked: 'llama-8b', model: 'llama-8b', pool: 'llama-8b', way: 'direct' },
      { asked: 'fast', model: 'llama-8b', pool: 'llama-8b', way: 'alias' },
    ]);
    const metrics = await metricsOf(gateway);
    expect(metrics).toContain(
      'kvoyant_routed_requests_total{name="fast",pool="llama-8b",model="llama-8b",way="alias"} 1\n',
    );
    expect(metrics).toContain('kvoyant_requests_total{model="fast",status="200"} 1\n');
    const chats = log.with('request').filter((line) => String(line['path']).endsWith('/completions'));
    expect(chats).toMatchObject([
      { model: 'fast', servedModel: 'llama-8b', pool: 'llama-8b', way: 'alias' },
      { model: 'llama-8b' },
    ]);
    expect(chats[1]).not.toHaveProperty('way');
  });

  it('whose model no worker lists gets 503, as it may come; an unknown name gets 404', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], models: ['gone=nothing'] });
    const answer = await ask(gateway, 'gone');
    expect([answer.status, JSON.parse(answer.body).error.code]).toEqual([503, 'no_available_workers']);
    expect((await ask(gateway, 'other')).status).toBe(404);
  });

  it('is what a key must allow, whatever it leads to', async () => {
    const engine = await harness.engine({ models: ['llama-8b'] });
    const key = (name: string, models: string[]) => ({ name, key: `secret-of-${name}-000001`, models });
    const gateway = await harness.gateway({
      workers: [engine.url],
      models: ['fast=llama-8b'],
      apiKeys: [key('alias', ['fast']), key('model', ['llama-8b'])],
    });
    const bearer = (name: string) => ({ authorization: `Bearer secret-of-${name}-000001` });
    const statuses = async (name: string): Promise<number[]> => [
      (await ask(gateway, 'fast', bearer(name))).status,
      (await ask(gateway, 'llama-8b', bearer(name))).status,
      (await post(gateway, '/v1/responses', { model: 'fast', input: 'a' }, bearer(name))).status,
    ];
    expect([await statuses('alias'), await statuses('model')]).toEqual([
      [200, 403, 200],
      [403, 200, 403],
    ]);
    const listed = async (name: string): Promise<string[]> => {
      const answer = await fetch(`${gateway.url}/v1/models`, { headers: bearer(name) });
      return ((await answer.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
    };
    expect([await listed('alias'), await listed('model')]).toEqual([['fast'], ['llama-8b']]);
  });
});

describe('a split', () => {
  it('keeps each session at one pool, gives each pool its share, and says so', async () => {
    const { stable, canary, gateway } = await stableAndCanary({
      models: [
        {
          name: 'llama',
          split: [
            { pool: 'stable', weight: 3 },
            { pool: 'canary', model: 'llama-next', weight: 1 },
          ],
        },
      ],
    });
    const poolOf = new Map<string, unknown>();
    for (let i = 0; i < 60; i++) {
      const session = `session-${i % 30}`;
      const answer = await ask(gateway, 'llama', { 'x-kvoyant-session': session });
      const [status, pool, model, way] = routed(answer);
      expect([status, way]).toEqual([200, 'split']);
      expect(model).toBe(pool === 'canary' ? 'llama-next' : 'llama');
      expect(poolOf.get(session) ?? pool).toBe(pool);
      poolOf.set(session, pool);
    }
    const models = (engine: FakeEngine): unknown[] => [
      ...new Set(engine.requests.map(({ body }) => (JSON.parse(body) as { model: unknown }).model)),
    ];
    expect([models(stable), models(canary)]).toEqual([['llama'], ['llama-next']]);
    // The sessions' names are fixed, so these are the same in every run.
    expect(canary.requests.length).toBeGreaterThan(4);
    expect(stable.requests.length).toBeGreaterThan(canary.requests.length);
    await atRest(gateway);
  });

  it('without a session is drawn by request, and follows a reload of its weights', async () => {
    const split = (stable: number, canary: number) => [
      {
        name: 'llama',
        split: [
          { pool: 'stable', weight: stable },
          { pool: 'canary', weight: canary },
        ],
      },
    ];
    const { stable, canary, gateway } = await stableAndCanary({ models: split(1, 1) });
    for (let i = 0; i < 24; i++) await ask(gateway, 'llama', { 'x-request-id': `request-${i}` });
    expect(stable.requests.length).toBeGreaterThan(4);
    expect(canary.requests.length).toBeGreaterThan(4);
    const before = canary.requests.length;
    const changes = await gateway.reload(() => ({ ...current(gateway), models: split(1, 0) }));
    expect(changes).toEqual({ changed: ['models'], needRestart: [] });
    for (let i = 0; i < 24; i++) await ask(gateway, 'llama', { 'x-request-id': `request-${i}` });
    expect(canary.requests.length).toBe(before);
    await atRest(gateway);
  });
});

describe('a fallback', () => {
  const models = [{ name: 'llama', pool: 'stable', fallback: [{ pool: 'canary', model: 'llama-next' }] }];

  it('takes requests while the first pool has no worker, and gives them back', async () => {
    const { stable, canary, gateway } = await stableAndCanary({ models });
    expect(routed(await ask(gateway, 'llama'))).toEqual([200, 'stable', 'llama', 'direct']);
    const drain = (method: string) =>
      fetch(`${gateway.adminUrl}/workers/${encodeURIComponent(stable.url)}/drain`, { method });
    expect((await drain('POST')).status).toBe(200);
    for (const path of ['/v1/chat/completions', '/v1/responses', '/v1/embeddings']) {
      const answer = await post(gateway, path, chat('llama', { input: 'a', stream: true }));
      expect(routed(answer)).toEqual([200, 'canary', 'llama-next', 'fallback']);
    }
    expect(canary.requests.map(({ body }) => (JSON.parse(body) as { model: string }).model)).toEqual(
      new Array(3).fill('llama-next'),
    );
    expect((await drain('DELETE')).status).toBe(200);
    expect(routed(await ask(gateway, 'llama'))).toEqual([200, 'stable', 'llama', 'direct']);
    expect(await metricsOf(gateway)).toMatch(
      /kvoyant_routed_requests_total\{name="llama",pool="canary",model="llama-next",way="fallback"\} 3\n/,
    );
    await atRest(gateway);
  });

  it.each(['/v1/chat/completions', '/v1/responses', '/v1/embeddings'])(
    'takes the very request at %s that finds the last worker dead',
    async (path) => {
      const { stable, gateway } = await stableAndCanary({ models });
      await stable.close();
      const answer = await post(gateway, path, chat('llama', { input: 'a', stream: true }));
      expect(routed(answer)).toEqual([200, 'canary', 'llama-next', 'fallback']);
      await atRest(gateway);
      if (path === '/v1/embeddings') return;
      expect(await decisions(gateway)).toMatchObject([
        { attempt: 2, pool: 'canary', way: 'fallback', outcome: 'done' },
        { attempt: 1, pool: 'stable', way: 'direct', outcome: 'failed' },
      ]);
    },
  );

  it('does not get a request that kills engines', async () => {
    const stable = await harness.engines(3, { models: ['llama'] });
    const canary = await harness.engine({ models: ['llama'] });
    const gateway = await harness.gateway({
      workers: [...stable.map(({ url }) => ({ url, pool: 'stable' })), { url: canary.url, pool: 'canary' }],
      pools: ['stable', 'canary'],
      models: [{ name: 'llama', pool: 'stable', fallback: [{ pool: 'canary' }] }],
    });
    for (const engine of stable) {
      engine.behaviour = ({ socket }) => setTimeout(() => socket.resetAndDestroy(), 150);
    }
    const answer = await ask(gateway, 'llama');
    expect(answer.status).toBe(502);
    expect(canary.requests).toHaveLength(0);
    await atRest(gateway);
  });

  it("does not hide an engine's own error", async () => {
    const { stable, canary, gateway } = await stableAndCanary({ models });
    stable.behaviour = ({ response }) => replyJson(response, 500, { error: { message: 'broken' } });
    const answer = await ask(gateway, 'llama');
    expect([answer.status, answer.body]).toEqual([500, '{"error":{"message":"broken"}}']);
    expect(canary.requests).toHaveLength(0);
  });
});

describe('a pool', () => {
  it('has its own policy, queue, tokenizer and limits; another worker of the same model is not in it', async () => {
    const own = await harness.engine({ models: ['llama'] });
    const other = await harness.engine({ models: ['llama'] });
    const gateway = await harness.gateway({
      workers: [{ url: own.url, pool: 'own' }, other.url],
      pools: [
        {
          ...{ name: 'own', policy: 'round-robin', tokenizer: 'builtin', trustTokenizer: true },
          ...{ runningRequestsMax: 1, queuedRequestsMax: 0 },
        },
      ],
      models: [{ name: 'mine', pool: 'own', model: 'llama' }],
      policy: 'kv',
      tokenizer: 'none',
    });
    expect(routed(await ask(gateway, 'mine'))).toEqual([200, 'own', 'llama', 'alias']);
    expect(routed(await ask(gateway, 'llama'))).toEqual([200, undefined, undefined, undefined]);
    expect(await decisions(gateway)).toMatchObject([
      { pool: 'llama', policy: 'kv', known: 'bytes' },
      { pool: 'own', policy: 'round-robin', known: 'tokens' },
    ]);
    expect([own.requests.length, other.requests.length]).toEqual([1, 1]);
    let release = (): void => undefined;
    own.behaviour = (request) => {
      release = () => streamTokens(request, 1);
    };
    const held = ask(gateway, 'mine');
    await eventually(() => own.requests.length === 2);
    const refused = await ask(gateway, 'mine');
    expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([429, 'queue_full']);
    release();
    expect((await held).status).toBe(200);
    await atRest(gateway);
  });

  it('that there is not is refused for a worker that an operator adds', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], pools: ['spare'] });
    const add = (pool: string) =>
      fetch(`${gateway.adminUrl}/workers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ url: 'http://127.0.0.1:1', pool }),
      });
    const answer = await add('other');
    expect([answer.status, ((await answer.json()) as { error: { param: string } }).error.param]).toEqual([400, 'pool']);
    expect((await add('spare')).status).toBe(201);
  });

  it('comes with a reload, with its tokenizer', async () => {
    const engine = await harness.engine({ models: ['llama'] });
    const gateway = await harness.gateway({ workers: [engine.url], tokenizer: 'none' });
    const late = await harness.engine({ models: ['late'] });
    const changes = await gateway.reload(() => ({
      ...current(gateway),
      workers: [engine.url, { url: late.url, pool: 'late' }],
      pools: [{ name: 'late', tokenizer: 'builtin', trustTokenizer: true }],
    }));
    expect(changes).toEqual({ changed: ['workers', 'pools'], needRestart: [] });
    await gateway.whenReady(10_000, 2);
    expect((await ask(gateway, 'late')).status).toBe(200);
    expect(await decisions(gateway)).toMatchObject([{ pool: 'late', known: 'tokens' }]);
    const missing = [{ name: 'new', tokenizer: '/no/such/tokenizer.json' }];
    expect(await gateway.reload(() => ({ ...current(gateway), pools: [...gateway.config.pools, ...missing] }))).toBe(
      null,
    );
  });
});
