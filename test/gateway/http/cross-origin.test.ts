// Keys in either header, and the rights of pages of other origins.

import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { replyJson } from '../../e2e/fake-engine.ts';
import { Harness, post } from '../../e2e/harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const secret = 'some-secret-00000001';
const apiKeys = [`k:${secret}`];
const completion = { model: 'fake', prompt: 'x' };
const page = 'https://chat.example.org';

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** Sends headers that `fetch` would not send. */
function send(url: string, method: string, headers: Record<string, string>): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode!, headers: response.headers }));
    });
    request.on('error', reject).end();
  });
}

const corsOf = ({ headers }: Pick<Answered, 'headers'>): string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

const preflight = (origin: string) => ({
  origin,
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization, content-type,x-stainless-os',
});

describe('x-api-key', () => {
  it('is accepted like a bearer token, and not sent to engines', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys, adminKey: 'admin-secret-0000001' });
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await post(gateway, '/v1/completions', completion, headers)).status;
    expect(await status({ 'x-api-key': secret })).toBe(200);
    expect(await status({ authorization: `Bearer ${secret}`, 'x-api-key': 'whatever' })).toBe(200);
    expect(await status({ 'x-api-key': 'wrong-secret-0000001' })).toBe(401);
    expect(await status({ authorization: 'Bearer wrong-secret-0000001', 'x-api-key': secret })).toBe(401);
    for (const { headers } of engine.requests) {
      expect([headers.authorization, headers['x-api-key']]).toEqual([undefined, undefined]);
    }
    const { status: ofOperator } = await send(`${gateway.url}/loads`, 'GET', { 'x-api-key': 'admin-secret-0000001' });
    expect(ofOperator).toBe(200);
  });

  it("of a client that needs no key is replaced by the engine's own", async () => {
    const [plain, keyed] = [await harness.engine(), await harness.engine({ models: ['keyed'] })];
    const gateway = await harness.gateway({ workers: [plain.url, `${keyed.url},api-key=engine-key`] }, 2, []);
    for (const model of ['fake', 'keyed']) {
      await post(gateway, '/v1/completions', { ...completion, model }, { 'x-api-key': 'mine' });
    }
    expect(plain.requests[0]!.headers['x-api-key']).toBe('mine');
    expect(keyed.requests[0]!.headers['x-api-key']).toBe(undefined);
    expect(keyed.requests[0]!.headers.authorization).toBe('Bearer engine-key');
  });
});

describe('pages of other origins', () => {
  it("can't read answers without a setting, whatever the engine allows", async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => {
      response.setHeader('access-control-allow-origin', '*');
      response.setHeader('access-control-allow-credentials', 'true');
      replyJson(response, 200, {});
    };
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys });
    const headers = { origin: page, authorization: `Bearer ${secret}` };
    const answer = await post(gateway, '/v1/embeddings', { model: 'fake' }, headers);
    expect([answer.status, corsOf(answer)]).toEqual([200, []]);
    const asked = await send(`${gateway.url}/v1/completions`, 'OPTIONS', preflight(page));
    expect([asked.status, corsOf(asked)]).toEqual([204, []]);
  });

  it('may use client routes if configured: with a key, never with cookies', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys, corsOrigins: [page] });
    const asked = await send(`${gateway.url}/v1/completions`, 'OPTIONS', preflight(page));
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        'access-control-allow-origin': page,
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'authorization, content-type,x-stainless-os',
        vary: 'origin',
      },
    });
    for (const stream of [true, false]) {
      const headers = { origin: page, authorization: `Bearer ${secret}` };
      const answer = await post(gateway, '/v1/completions', { ...completion, stream }, headers);
      expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': page } });
      expect(answer.headers['access-control-expose-headers']).toContain('x-kvoyant-worker');
    }
    const keyless = await post(gateway, '/v1/completions', completion, { origin: page });
    expect(keyless).toMatchObject({ status: 401, headers: { 'access-control-allow-origin': page } });
    for (const origin of ['https://chat.example.org.evil.example', 'http://chat.example.org', 'null']) {
      expect(corsOf(await send(`${gateway.url}/v1/completions`, 'OPTIONS', preflight(origin)))).toEqual([]);
    }
    for (const url of [gateway.url, gateway.adminUrl]) {
      for (const path of ['/workers', '/metrics', '/health']) {
        for (const method of ['OPTIONS', 'GET']) {
          expect(corsOf(await send(url + path, method, preflight(page)))).toEqual([]);
        }
      }
    }
  });

  it('are all allowed by *, without credentials', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], corsOrigins: ['*'] });
    const answer = await post(gateway, '/v1/completions', completion, { origin: page });
    expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } });
    expect(answer.headers['access-control-allow-credentials']).toBe(undefined);
  });

  it('may send nothing if no keys are set, since any page on this machine could', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const { host } = new URL(gateway.url);
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await post(gateway, '/v1/completions', completion, { 'content-type': 'text/plain', ...headers })).status;
    expect(await status({ origin: page })).toBe(403);
    expect(await status({ origin: 'null' })).toBe(403);
    expect(await status({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(engine.requests).toEqual([]);
    expect(await status({})).toBe(200);
    expect(await status({ origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })).toBe(200);
  });

  it.each(['chat.example.org', 'https://chat.example.org/', 'https://*.example.org/x', 'null', 7])(
    "can't be configured as %j",
    (origin) => {
      const options = { workers: ['http://127.0.0.1:1'], corsOrigins: [origin] as string[] };
      expect(() => resolveConfig(options)).toThrow(/must be \* or an origin/);
    },
  );
});
