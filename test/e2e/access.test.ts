// Access control, and what stays secret.

import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer as createTlsServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashSecret } from '../../src/gateway/config/secret-hash.ts';
import { operatorPort } from '../../src/gateway/http/operator-server.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { replyJson, streamTokens } from './fake-engine.ts';
import { type Answer, chatBody, eventually, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';
import { nameTable } from './name-table.ts';
import { authorityFile, tlsIdentity } from './tls-files.ts';

let harness: Harness;
let folder: TemporaryFolder;
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
});
afterEach(async () => {
  await harness.end();
  folder.remove();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const completion = { model: 'fake', prompt: 'x' };
const observed = ['/workers', '/loads', '/decisions', '/metrics'];

/** Sends the headers as given, also `host`, which `fetch` would not send. */
function statusFrom(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    request.on('error', reject).end();
  });
}

async function statusOf(gateway: Gateway, path: string, headers: Record<string, string> = {}): Promise<number> {
  return (await fetch(gateway.url + path, { headers })).status;
}

describe('API keys', () => {
  it('admit their clients and nobody else; no engine sees them', async () => {
    const engine = await harness.engine();
    const [alice, bob] = ['alice-secret-000001', 'bob-secret-00000002'];
    const apiKeys = [`alice:${alice}`, { name: 'bob', key: hashSecret(bob) }];
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys });
    for (const key of [alice, bob])
      expect((await post(gateway, '/v1/completions', completion, bearer(key))).status).toBe(200);
    const refused: Record<string, string>[] = [
      {},
      bearer('wrong-secret-000003'),
      bearer(hashSecret(bob)),
      { authorization: `Basic ${alice}` },
    ];
    for (const headers of refused) {
      const answer = await post(gateway, '/v1/completions', completion, headers);
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.body)).toMatchObject({
        error: { type: 'authentication_error', code: 'invalid_api_key' },
      });
    }
    expect(await statusOf(gateway, '/v1/models')).toBe(401);
    expect(await statusOf(gateway, '/health')).toBe(200);
    expect(await statusOf(gateway, '/ready')).toBe(200);
    expect(engine.requests).toHaveLength(2);
    for (const { headers } of engine.requests) expect(headers.authorization).toBe(undefined);
  });

  it('allow only their own models', async () => {
    const engine = await harness.engine({ models: ['fake', 'dear'] });
    const key = 'some-secret-00000001';
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys: [{ name: 'k', key, models: ['fake'] }] });
    const status = async (path: string, model: string) =>
      (await post(gateway, path, { ...completion, model }, bearer(key))).status;
    expect(await status('/v1/completions', 'fake')).toBe(200);
    expect(await status('/v1/completions', 'dear')).toBe(403);
    expect(await status('/v1/embeddings', 'fake')).toBe(200);
    expect(await status('/v1/embeddings', 'dear')).toBe(403);
    const models = await fetch(`${gateway.url}/v1/models`, { headers: bearer(key) });
    expect(((await models.json()) as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(['fake']);
    expect(engine.requests).toHaveLength(2);
  });

  it('come from a file too, and a reload replaces them', async () => {
    const engine = await harness.engine();
    const [first, second] = ['first-secret-0000001', 'second-secret-000002'];
    const apiKeysFile = folder.write('keys.yaml', `- name: a\n  key: ${hashSecret(first)}\n`);
    const options = { workers: [engine.url], apiKeysFile, logLevel: 'silent', port: 0 } as const;
    const gateway = await harness.gateway(options);
    const status = async (key: string) => (await post(gateway, '/v1/completions', completion, bearer(key))).status;
    expect([await status(first), await status(second)]).toEqual([200, 401]);
    folder.write('keys.yaml', `- b:${second}\n`);
    expect(await gateway.reload(() => options)).not.toBe(null);
    expect([await status(first), await status(second)]).toEqual([401, 200]);
    folder.write('keys.yaml', '- b:short\n');
    expect(await gateway.reload(() => options)).toBe(null);
    expect([await status(first), await status(second)]).toEqual([401, 200]);
  });
});

describe('routes of operators', () => {
  const [adminKey, viewKey, key] = ['admin-secret-0000001', 'view-secret-00000001', 'some-secret-00000001'];
  const adminStatus = async (gateway: Gateway, path: string, headers: Record<string, string> = {}): Promise<number> =>
    statusFrom(gateway.adminUrl + path, headers);

  it('without a key answer only at their own listener, to requests made for and from this machine', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys: [`k:${key}`] });
    const { host, port } = new URL(gateway.adminUrl);
    // Node leaves out headers beyond the first thousand, unless it is told not to.
    const many = Object.fromEntries(Array.from({ length: 1100 }, (_, i) => [`a${i}`, 'b']));
    const foreign: Record<string, string>[] = [
      { 'x-forwarded-for': '127.0.0.1' },
      { host: 'localhost', ...many, 'x-forwarded-for': '10.0.0.1' },
      { forwarded: 'for=127.0.0.1' },
      { 'x-real-ip': '127.0.0.1' },
      { via: '1.1 proxy' },
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: `http://127.0.0.1:${Number(port) + 1}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { host: 'evil.example' },
      { host: `evil.example:${port}` },
      { host: `127.0.0.1.evil.example:${port}` },
      { host: `localhost.evil.example` },
      { host: '10.0.0.1' },
    ];
    const own: Record<string, string>[] = [
      {},
      { host: 'localhost' },
      { host: `LOCALHOST:${port}` },
      { host: `[::1]:${port}` },
      { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
    ];
    for (const path of observed) {
      expect(await statusOf(gateway, path)).toBe(403);
      expect(await statusOf(gateway, path, bearer(key))).toBe(403);
      for (const headers of own) expect(await adminStatus(gateway, path, headers), JSON.stringify(headers)).toBe(200);
      for (const headers of foreign) {
        expect(await adminStatus(gateway, path, headers), JSON.stringify(headers)).toBe(403);
      }
    }
    expect(await statusFrom(`${gateway.adminUrl}/workers`, { origin: 'http://evil.example' }, 'POST')).toBe(403);
    for (const open of ['/health', '/ready']) expect(await adminStatus(gateway, open, { host: 'a.example' })).toBe(200);
    expect(await adminStatus(gateway, '/v1/models', bearer(key))).toBe(404);
    const drain = `/workers/${encodeURIComponent(engine.url)}/drain`;
    expect(await statusFrom(gateway.adminUrl + drain, {}, 'POST')).toBe(200);
  });

  it('need the admin key if one is set, at either listener, also from this machine; an API key does not count', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], adminKey, apiKeys: [`k:${key}`] });
    for (const url of [gateway.url, gateway.adminUrl]) {
      for (const path of observed) {
        expect(await statusFrom(url + path)).toBe(401);
        expect(await statusFrom(url + path, bearer(key))).toBe(401);
        expect(await statusFrom(url + path, { ...bearer(adminKey), 'x-forwarded-for': '1.2.3.4' })).toBe(200);
      }
      expect(await statusFrom(`${url}/workers`, {}, 'POST')).toBe(401);
    }
    expect((await post(gateway, '/v1/completions', completion, bearer(adminKey))).status).toBe(401);
  });

  it('accept the view key for reading at either listener', async () => {
    const engine = await harness.engine();
    for (const more of [{ adminKey }, {}]) {
      const gateway = await harness.gateway({ workers: [engine.url], viewKey, apiKeys: [`k:${key}`], ...more });
      const worker = `/workers/${encodeURIComponent(engine.url)}`;
      for (const url of [gateway.url, gateway.adminUrl]) {
        for (const path of [...observed, worker]) expect(await statusFrom(url + path, bearer(viewKey))).toBe(200);
        expect(await statusFrom(`${gateway.url}/workers`)).toBe(401);
        for (const [method, path] of [
          ['POST', '/workers'],
          ['PATCH', worker],
          ['DELETE', worker],
          ['POST', `${worker}/drain`],
        ] as const) {
          expect(await statusFrom(url + path, bearer(viewKey), method), `${method} ${path}`).toBe(403);
        }
      }
      expect((await post(gateway, '/v1/completions', completion, bearer(viewKey))).status).toBe(401);
    }
  });

  it("answer only at the clients' port, with a key, if operators have no listener", async () => {
    const engine = await harness.engine();
    const open = await harness.gateway({ workers: [engine.url], adminPort: 'none' });
    expect(open.adminUrl).toBe(open.url);
    expect(await statusOf(open, '/workers')).toBe(403);
    const keyed = await harness.gateway({ workers: [engine.url], adminPort: 'none', adminKey });
    expect(await statusOf(keyed, '/workers', bearer(adminKey))).toBe(200);
  });

  it('refuse other machines without a key', async () => {
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4');
    const engine = await harness.engine();
    const workers = [engine.url];
    await expect(harness.gateway({ workers, adminHost: '0.0.0.0' })).rejects.toThrow(/set an adminKey or a viewKey/);
    const gateway = await harness.gateway({ workers, host: '0.0.0.0', allowOpen: true, adminHost: '0.0.0.0', viewKey });
    // A machine without a network has no other address.
    if (outside === undefined) return;
    const from = (url: string): string => `http://${outside.address}:${new URL(url).port}`;
    expect(await statusFrom(`${from(gateway.url)}/health`)).toBe(200);
    for (const path of observed) {
      expect(await statusFrom(from(gateway.url) + path)).toBe(401);
      expect(await statusFrom(from(gateway.adminUrl) + path, { host: 'localhost' })).toBe(403);
      expect(await statusFrom(from(gateway.adminUrl) + path, bearer(viewKey))).toBe(200);
    }
  });

  it('use a port that no worker has, and prevent the start if theirs is taken', async () => {
    const workers = ['http://127.0.0.1:7001', 'http://localhost:7002', 'http://10.0.0.1:7003'].map((url) => ({ url }));
    expect(operatorPort({ port: 7000, adminPort: 'auto' }, workers)).toBe(7003);
    expect(operatorPort({ port: 0, adminPort: 'auto' }, workers)).toBe(0);
    expect(operatorPort({ port: 65_535, adminPort: 'auto' }, workers)).toBe(0);
    const engine = await harness.engine();
    const adminPort = Number(new URL(engine.url).port);
    const starting = harness.gateway({ workers: [engine.url], adminPort });
    await expect(starting).rejects.toThrow(`127.0.0.1:${adminPort}, the address of operators, is taken: set adminPort`);
  });
});

describe('the start of the log', () => {
  async function said(options: object): Promise<{ level: number; msg: string }[]> {
    const log = new LogLines();
    const gateway = await harness.gateway({ workers: ['http://127.0.0.1:1'], logLevel: 'info', ...options }, 0, [], {
      logTo: log,
    });
    await gateway.close();
    return log.lines;
  }

  it('warns about everything open to everyone', async () => {
    const warn = 40;
    const open = await said({ host: '0.0.0.0', allowOpen: true });
    expect(open).toContainEqual(
      expect.objectContaining({ level: warn, msg: expect.stringMatching(/^no API keys are set: EVERYONE/) }),
    );
    const keyed = await said({ host: '0.0.0.0', apiKeys: ['k:some-secret-00000001'] });
    expect(keyed).toContainEqual(expect.objectContaining({ msg: 'the OpenAI API is open to 1 API keys' }));
    const local = await said({});
    expect(local).toContainEqual(expect.objectContaining({ msg: expect.stringMatching(/everyone on this machine/) }));
    expect(local.filter(({ level, msg }) => level >= warn && /open to|may use/.test(msg))).toEqual([]);
  });
});

describe('TLS', () => {
  const ca = readFileSync(authorityFile, 'utf8');

  /** @returns the answer, and the name on the certificate that came with it */
  function get(url: string): Promise<{ status: number; certificate: string }> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest(url, { ca, agent: false }, (response) => {
        const { subject } = (response.socket as import('node:tls').TLSSocket).getPeerCertificate();
        response.resume().on('end', () => resolve({ status: response.statusCode!, certificate: String(subject.CN) }));
      });
      request.on('error', reject);
      request.end();
    });
  }

  it('serves clients with the configured certificate, and with a new one after a reload', async () => {
    const engine = await harness.engine();
    const write = (name: 'first' | 'second') => ({
      tlsCertFile: folder.write('cert.pem', tlsIdentity(name).cert),
      tlsKeyFile: folder.write('key.pem', tlsIdentity(name).key),
    });
    const options = { workers: [engine.url], port: 0, logLevel: 'silent' as const, ...write('first') };
    const gateway = await harness.gateway(options);
    expect(gateway.url).toMatch(/^https:\/\/127/);
    expect(await get(`${gateway.url}/v1/models`)).toEqual({ status: 200, certificate: 'first' });
    write('second');
    await gateway.reload(() => options);
    expect(await get(`${gateway.url}/v1/models`)).toEqual({ status: 200, certificate: 'second' });
    folder.write('key.pem', tlsIdentity('first').key);
    expect(await gateway.reload(() => options)).toBe(null);
    expect(await get(`${gateway.url}/v1/models`)).toEqual({ status: 200, certificate: 'second' });
    await expect(fetch(gateway.url.replace('https', 'http'))).rejects.toThrow();
  });

  it('connects to workers whose certificate comes from the configured authority, also by name', async () => {
    const engine = createTlsServer(tlsIdentity('first'), (request, response) => {
      const isList = request.url === '/v1/models';
      if (request.url === '/health') response.end();
      else if (isList) replyJson(response, 200, { data: [{ id: 'fake', object: 'model' }] });
      else if (request.method === 'GET') replyJson(response, 404, {});
      else request.resume().on('end', () => streamTokens({ response } as Parameters<typeof streamTokens>[0], 2));
    });
    await new Promise<void>((resolve) => {
      engine.listen(0, '127.0.0.1', resolve);
    });
    const { port } = engine.address() as AddressInfo;
    const { resolve } = nameTable({ 'engines.test': ['127.0.0.1'], 'others.test': ['127.0.0.1'] });
    const send = (gateway: Gateway): Promise<Answer> =>
      post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    for (const worker of [`https://127.0.0.1:${port}`, `dns+https://engines.test:${port}`]) {
      const gateway = await harness.gateway({ workers: [worker], workerCaFile: authorityFile }, 0, ['fake'], {
        resolve,
      });
      await gateway.whenReady(5000, 1);
      expect((await send(gateway)).body).toContain('[DONE]');
    }
    const strangers = [
      { workers: [`https://127.0.0.1:${port}`] },
      { workers: [`dns+https://others.test:${port}`], workerCaFile: authorityFile },
    ];
    for (const options of strangers) {
      const gateway = await harness.gateway(options, 0, [], { resolve });
      let shown = '';
      await eventually(async () => {
        shown = await (await fetch(`${gateway.adminUrl}/workers`)).text();
        return /certificate|altnames/i.test(shown);
      });
      expect((await send(gateway)).status).toBe(503);
      await gateway.close();
    }
    engine.closeAllConnections();
    engine.close();
  });
});

it('secrets and prompts appear in no log, metric, decision or list', async () => {
  const engine = await harness.engine();
  const secrets = {
    api: 'api-secret-00000000001',
    admin: 'admin-secret-000000001',
    worker: 'worker-secret-00000001',
    wrong: 'wrong-secret-000000001',
    query: 'query-secret-000000001',
    prompt: 'the-prompt-is-private',
    added: 'added-secret-000000001',
  };
  const log = new LogLines();
  const options = {
    workers: [`${engine.url},api-key=${secrets.worker}`],
    apiKeys: [`k:${secrets.api}`],
    adminKey: secrets.admin,
    logLevel: 'trace',
    logRequests: true,
    port: 0,
  } as const;
  const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
  const body = { ...chatBody, messages: [{ role: 'user', content: secrets.prompt }], stream: true };
  await post(gateway, '/v1/chat/completions', body, bearer(secrets.api));
  await post(gateway, '/v1/chat/completions', body, bearer(secrets.wrong));
  await post(gateway, '/v1/chat/completions', `{"model": ${secrets.prompt}`, bearer(secrets.api));
  await post(gateway, `/v1/embeddings?token=${secrets.query}`, { input: secrets.prompt }, bearer(secrets.api));
  const adminPost = (path: string, value: object) => post(gateway, path, value, bearer(secrets.admin));
  const answers = [await adminPost('/workers', { url: 'http://127.0.0.1:1', apiKey: secrets.added })];
  answers.push(await adminPost('/workers', { url: 'http://127.0.0.1:2', speed: secrets.added }));
  expect(answers.map(({ status }) => status)).toEqual([201, 400]);
  await gateway.reload(() => ({ ...options, port: 1 }));
  await gateway.reload(() => ({ ...options, apiKeys: ['short'] }));
  const shown = await Promise.all(
    observed.map(async (path) => (await fetch(gateway.url + path, { headers: bearer(secrets.admin) })).text()),
  );
  const all = [
    log.text,
    ...shown,
    ...answers.map((answer) => answer.body),
    JSON.stringify(gateway.config.apiKeys),
  ].join('\n');
  expect(engine.requests[0]!.headers.authorization).toBe(`Bearer ${secrets.worker}`);
  expect(engine.requests[0]!.body).toContain(secrets.prompt);
  expect(log.with('request')).toHaveLength(4);
  for (const secret of Object.values(secrets)) expect(all.includes(secret), secret).toBe(false);
});
