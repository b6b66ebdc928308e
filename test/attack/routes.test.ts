// Paths and bodies that gateway and engine could read differently, or that lead to operator routes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type { FakeEngine } from '../e2e/fake-engine.ts';
import { atRest, getJson, Harness, post } from '../e2e/harness.ts';
import { sendBytes } from '../e2e/raw-request.ts';

const secret = 'some-secret-00000001';
const engineKey = 'engine-secret-000001';
const harness = new Harness();
let gateway: Gateway;
let engine: FakeEngine;
beforeAll(async () => {
  engine = await harness.engine({ models: ['fake', 'dear'] });
  gateway = await harness.gateway({
    workers: [`${engine.url},api-key=${engineKey}`],
    apiKeys: [{ name: 'k', key: secret, models: ['fake'] }],
  });
});
afterAll(async () => {
  await atRest(gateway);
  await harness.end();
});

async function statusOf(method: string, target: string, body = '{"model":"fake","prompt":"x","input":"x"}') {
  const head = [
    `${method} ${target} HTTP/1.1`,
    'host: x',
    'connection: close',
    `authorization: Bearer ${secret}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body, 'latin1')}`,
  ];
  const received = await sendBytes(gateway, `${head.join('\r\n')}\r\n\r\n${body}`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0);
}

/** Asserts that none of the requests of `send` reaches the engine. */
async function expectKeptFromEngine(send: () => Promise<void>): Promise<void> {
  const before = engine.requests.length;
  await send();
  expect(engine.requests.slice(before).map(({ path }) => path)).toEqual([]);
}

const refusedPaths = [
  ...['/v1/..\\metrics', '/v1/..%5cmetrics', '/v1/..%5Cmetrics', '/v1/../metrics', '/v1/%2e%2e/metrics'],
  ...['/v1/.%2E/metrics', '/v1/%2e/completions', '/v1/./completions', '/..', '/.', '/v1/..', '/v1/.'],
  ...['//v1/completions', '/v1//completions', '//metrics', '///', '/v1/models//fake'],
  ...['/v1/completions%00', '/v1/completions%0a', '/v1/completions%7f', '/v1/completions%', '/v1/completions%2'],
  ...['/v1/completions%zz', '/v1/completions#x', '/v1/completions?a#b', '/v1/"completions"', '/v1/<completions>'],
  ...['/v1/\xe9', '/v1/completions\\', 'http://x/v1/completions', 'HTTP://127.0.0.1/metrics', '*', 'v1/completions'],
];

const unknownPaths = [
  ...['/v1/load_lora_adapters', '/V1/load_lora_adapter', '/v1/load_lora_adapter/', '/v2/unload_lora_adapter'],
  ...['/v1/..%2fmetrics', '/v1%2fcompletions', '/v1/completions%2f', '/v1/completions/', '/V1/completions'],
  ...['/v1/Completions', '/v1;x/completions', '/v1/completions;x=1', '/v1/completions%3b', '/v1/completions%3Fx'],
  ...['/v1/completions%2520', '/v1/completions%20', '/v1/', '/v1', '/', '/v2/', '/v1/models/'],
  ...[
    '/v1/files',
    '/v1/batches',
    '/v1/responses/resp_1/nonsense',
    '/v1/chat/completions/render',
    '/v1/completions/render',
  ],
  ...['/v1/realtime', '/v1/fine_tuning/jobs', '/v1/chat/completions/batch'],
  ...['/sleep', '/wake_up', '/reset_prefix_cache', '/collective_rpc', '/server_info', '/version', '/load', '/ping'],
  ...['/invocations', '/inference/v1/generate', '/start_profile', '/stop_profile', '/scale_elastic_ep', '/pause'],
  ...['/abort_requests', '/update_weights', '/init_weights_update_group', '/flush_cache', '/generate', '/encode'],
  ...['/kv_event_sources', '/openapi.json', '/docs', '/get_server_info', '/is_sleeping', '/Metrics', '/metrics/'],
];

/** However they are written, they are for operators. */
const adapterPaths = [
  ...['/v1/load_lora_adapter', '/v1/unload_lora_adapter', '/%761/load_lora_adapter', '/v1/%6coad_lora_adapter'],
];

describe('paths of requests', () => {
  it('refuses paths with two readings', async () => {
    await expectKeptFromEngine(async () => {
      for (const path of refusedPaths) {
        for (const method of ['GET', 'POST']) expect([path, await statusOf(method, path)]).toEqual([path, 400]);
      }
    });
  });

  it('answers 404 to paths that are no client routes, whatever the key', async () => {
    await expectKeptFromEngine(async () => {
      for (const path of unknownPaths) {
        for (const method of ['GET', 'POST']) expect([path, await statusOf(method, path)]).toEqual([path, 404]);
      }
    });
  });

  it('closes operator paths to clients', async () => {
    const seen = ['/metrics', '/%6detrics', '/workers', '/workers/x', '/loads', '/decisions', '/decisions/x'];
    for (const path of [...seen, ...adapterPaths]) {
      for (const method of ['GET', 'POST', 'DELETE']) expect([path, await statusOf(method, path)]).toEqual([path, 403]);
    }
  });

  it('accepts only the methods of each path', async () => {
    await expectKeptFromEngine(async () => {
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE']) {
        for (const path of ['/v1/completions', '/v1/embeddings', '/v1/audio/transcriptions']) {
          expect(await statusOf(method, path), `${method} ${path}`).toBe(405);
        }
      }
      expect(await statusOf('CONNECT', '127.0.0.1:80')).toBe(0);
    });
  });

  it('treats a path with needless escapes as the plain one: booked, recorded and sent to the engine', async () => {
    const before = engine.requests.length;
    const escaped = ['/v1/%63hat/completions', '/%76%31/chat/completions', '/v1/chat/completion%73?x=%63'];
    const body = '{"model":"fake","messages":[{"role":"user","content":"x"}],"stream":true}';
    for (const path of escaped) expect(await statusOf('POST', path, body)).toBe(200);
    const sent = engine.requests.slice(before).map(({ path }) => path);
    expect(sent).toEqual(['/v1/chat/completions', '/v1/chat/completions', '/v1/chat/completions?x=%63']);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: object[] };
    expect(decisions).toHaveLength(escaped.length);
  });
});

describe('a model that the key does not allow', () => {
  const headers = { authorization: `Bearer ${secret}` };
  const [json, form] = ['application/json', 'multipart/form-data; boundary=xx'];
  const field = (name: string, value: string): string =>
    `--xx\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const attacks: [path: string, type: string, body: string, status: number][] = [
    ['/v1/embeddings', json, '{"model":"dear","input":"x"}', 403],
    ['/v1/embeddings', 'Application/Json', '{"model":"dear","input":"x"}', 403],
    ['/v1/embeddings', json, '{"input":"x"}', 400],
    ['/v1/embeddings', json, '{"model":null,"input":"x"}', 400],
    ['/v1/embeddings', json, '\ufeff{"model":"dear","input":"x"}', 400],
    ['/v1/embeddings', json, '{"model":"dear","input":"x","y":NaN}', 400],
    ['/v1/embeddings', json, '{"model":"dear","model":"fake","input":"x"}', 400],
    ['/v1/embeddings', json, '{"model":"fake","mode\\u006c":"dear","input":"x"}', 400],
    ['/v1/embeddings', json, '{"model":["dear"],"input":"x"}', 400],
    ['/v1/embeddings', json, '', 400],
    ['/v1/embeddings', 'text/plain', '{"model":"dear","input":"x"}', 400],
    ['/v1/embeddings', form, `${field('model', 'dear')}--xx--`, 400],
    ['/v1/completions', json, '{"prompt":"x"}', 400],
    ['/v1/completions', json, '{"model":"fake","model":"dear","prompt":"x"}', 400],
    ['/v1/completions', json, '{"model":"dear","mod\\u0065l":"fake","prompt":"x"}', 400],
    ['/v1/chat/completions', json, '{"model":"dear","messages":[]}', 400],
    ['/v1/audio/transcriptions', form, `${field('model', 'dear')}--xx--`, 403],
    ['/v1/audio/transcriptions', form, `${field('x', 'fake')}--xx--`, 400],
    ['/v1/audio/transcriptions', form, `${field('model', 'fake')}${field('model', 'dear')}--xx--`, 400],
    ['/v1/audio/transcriptions', json, '{"model":"fake"}', 400],
    [
      '/v1/audio/transcriptions',
      'multipart/form-data; boundary=xx; boundary=yy',
      `${field('model', 'fake')}--xx--`,
      400,
    ],
    ['/tokenize', json, '{"prompt":"x"}', 400],
    ['/tokenize', json, '{"model":"dear","prompt":"x"}', 403],
    ['/v1/responses', json, '{"input":"x"}', 400],
    ['/v1/messages', json, '{"model":"dear"}', 403],
  ];

  it("can't be reached by any route or body", async () => {
    await expectKeptFromEngine(async () => {
      for (const [path, type, body, status] of attacks) {
        const answer = await post(gateway, path, body, { ...headers, 'content-type': type });
        expect([path, body, answer.status]).toEqual([path, body, status]);
      }
      const wide = await fetch(`${gateway.url}/v1/embeddings`, {
        method: 'POST',
        headers: { ...headers, 'content-type': json },
        body: new Uint8Array(Buffer.from('{"model":"dear"}', 'utf16le')),
      });
      expect(wide.status).toBe(400);
    });
  });

  it('is hidden from the list and from its own route', async () => {
    const answer = (path: string) => fetch(gateway.url + path, { headers });
    expect(await (await answer('/v1/models/fake')).json()).toMatchObject({ id: 'fake', object: 'model' });
    for (const path of ['/v1/models/dear', '/v1/models/%64ear', '/v1/models/none', '/v1/models/..%2Fdear'])
      expect([path, (await answer(path)).status]).toEqual([path, 404]);
  });

  it('does not affect allowed models: the engine gets its own key, and the body unchanged', async () => {
    engine.behaviour = ({ response }) => response.end('{}');
    const body = `${field('model', 'fake')}--xx--`;
    const answer = await post(gateway, '/v1/audio/transcriptions', body, { ...headers, 'content-type': form });
    expect(answer.status).toBe(200);
    expect(engine.requests.at(-1)).toMatchObject({ body, headers: { authorization: `Bearer ${engineKey}` } });
  });
});
