// The page's login and what attackers try: other origins, forged cookies, floods, paths outside, pages that never read.

import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginTriesMax } from '../../src/gateway/http/login-tries.ts';
import { pageSessionsMax } from '../../src/gateway/http/page-sessions.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import type { PageSession, Snapshot } from '../../src/gateway/page/page-data.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { eventually, getJson, Harness } from './harness.ts';
import { PageStream } from './page-stream.ts';

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

const adminKey = 'admin-secret-00000001';
const viewKey = 'view-secret-000000002';

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends the headers as given, `host` and `cookie` included. */
function send(
  gateway: Gateway,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(gateway.adminUrl, { method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    request.on('error', reject).end(body);
  });
}

/** What the page's own scripts send. */
function own(gateway: Gateway, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { origin: gateway.adminUrl, 'x-kvoyant-page': '1', 'sec-fetch-site': 'same-origin', ...more };
}

function login(gateway: Gateway, key: string, headers = own(gateway)): Promise<Reply> {
  return send(gateway, 'POST', '/page/login', headers, JSON.stringify({ key }));
}

async function cookieOf(gateway: Gateway, key: string): Promise<string> {
  const { status, headers } = await login(gateway, key);
  expect(status).toBe(200);
  return headers['set-cookie']![0]!.split(';')[0]!;
}

async function keyed(): Promise<{ gateway: Gateway; drain: string }> {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url], adminKey, viewKey });
  return { gateway, drain: `/workers/${encodeURIComponent(`${engine.url}#0`)}/drain` };
}

const data = ['snapshot', 'history', 'decisions', 'prefixes', 'truth', 'what-if', 'doctor', 'stream'];

describe('with an admin key', () => {
  it('shows no data without a key, and its files to everyone', async () => {
    const { gateway } = await keyed();
    for (const name of data) expect((await send(gateway, 'GET', `/page/${name}`)).status).toBe(401);
    const session = await send(gateway, 'GET', '/page/session');
    expect(JSON.parse(session.body)).toEqual({ open: false, needsKey: true, mayAct: false, expiresMs: null });
    const shell = await send(gateway, 'GET', '/');
    expect([shell.status, shell.headers.location]).toEqual([302, 'dashboard/']);
  });

  it('opens a session for the admin key, which may act, and ends it on logout', async () => {
    const { gateway, drain } = await keyed();
    const { headers, body } = await login(gateway, adminKey);
    const [cookie] = headers['set-cookie']!;
    expect(cookie).toMatch(/^kvoyant-page-\d+=[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/);
    const opened = JSON.parse(body) as PageSession;
    expect(opened).toMatchObject({ open: true, mayAct: true });
    expect(opened.expiresMs).toBeGreaterThan(Date.now());
    const kept = { cookie: cookie!.split(';')[0]! };
    expect((await send(gateway, 'GET', '/page/snapshot', kept)).status).toBe(200);
    expect((await send(gateway, 'GET', '/metrics', kept)).status).toBe(200);
    expect((await send(gateway, 'POST', drain, own(gateway, kept))).status).toBe(200);
    expect((await send(gateway, 'DELETE', drain, own(gateway, kept))).status).toBe(200);
    expect((await send(gateway, 'POST', '/page/logout', own(gateway, kept))).status).toBe(200);
    expect((await send(gateway, 'GET', '/page/snapshot', kept)).status).toBe(401);
  });

  it('lets the view key look and not act', async () => {
    const { gateway, drain } = await keyed();
    const cookie = await cookieOf(gateway, viewKey);
    const session = JSON.parse((await send(gateway, 'GET', '/page/session', { cookie })).body) as PageSession;
    expect(session).toMatchObject({ open: true, mayAct: false });
    expect((await send(gateway, 'GET', '/page/truth', { cookie })).status).toBe(200);
    const refused = await send(gateway, 'POST', drain, own(gateway, { cookie }));
    expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([403, 'view_only']);
    const question = JSON.stringify({ policy: 'kv', minutes: 5 });
    expect((await send(gateway, 'POST', '/page/what-if', own(gateway, { cookie }), question)).status).toBe(403);
  });

  it('takes bearer keys as every route of operators does', async () => {
    const { gateway } = await keyed();
    const bearer = { authorization: `Bearer ${viewKey}` };
    expect((await send(gateway, 'GET', '/page/snapshot', bearer)).status).toBe(200);
    expect((await send(gateway, 'POST', '/page/doctor', bearer, '{}')).status).toBe(403);
  });

  it('ends all sessions and their streams when the keys change', async () => {
    const { gateway } = await keyed();
    const cookie = await cookieOf(gateway, adminKey);
    const stream = await PageStream.open(`${gateway.adminUrl}/page/stream`, { cookie });
    const { workers } = gateway.config;
    await gateway.reload(() => ({
      ...{ port: 0, canary: false, logLevel: 'silent', probeIntervalMs: 25, shutdownGraceMs: 200 },
      ...{ workers, adminKey: 'admin-secret-00000009', viewKey },
    }));
    expect((await send(gateway, 'GET', '/page/snapshot', { cookie })).status).toBe(401);
    expect(await stream.next('bye')).toMatchObject({ reason: 'signed-out' });
  });
});

describe('attacks', () => {
  it('another origin can neither sign in, nor write with the cookie that the browser adds', async () => {
    const { gateway, drain } = await keyed();
    const cookie = await cookieOf(gateway, adminKey);
    const foreign: Record<string, string>[] = [
      { origin: 'http://evil.example', 'x-kvoyant-page': '1' },
      { origin: 'null', 'x-kvoyant-page': '1' },
      { 'x-kvoyant-page': '1' },
      { origin: gateway.adminUrl },
      { origin: gateway.adminUrl, 'x-kvoyant-page': '1', 'sec-fetch-site': 'cross-site' },
      { origin: gateway.url, 'x-kvoyant-page': '1' },
    ];
    for (const headers of foreign) {
      expect((await send(gateway, 'POST', drain, { ...headers, cookie })).status, JSON.stringify(headers)).toBe(403);
      expect((await login(gateway, adminKey, headers)).status).toBe(403);
      expect((await send(gateway, 'POST', '/page/logout', { ...headers, cookie })).status).toBe(403);
    }
    expect((await send(gateway, 'GET', '/page/snapshot', { cookie })).status).toBe(200);
  });

  it('forged and foreign cookies open nothing', async () => {
    const { gateway } = await keyed();
    const cookie = await cookieOf(gateway, adminKey);
    const [name = '', token = ''] = cookie.split('=');
    const forged = [
      `${name}=${'A'.repeat(43)}`,
      `${name}=`,
      `${name}=${token.slice(0, -1)}`,
      `${name}=${token}x`,
      `other-${name}=${token}`,
      `${name}x=${token}`,
      `${name}=${token.toLowerCase()}`,
      `${'x=y; '.repeat(4000)}${cookie}`,
      '=;=;=;',
    ];
    for (const one of forged) expect((await send(gateway, 'GET', '/page/snapshot', { cookie: one })).status).toBe(401);
  });

  it('guessing keys has to wait, with the right one too', async () => {
    const { gateway } = await keyed();
    for (let i = 0; i < loginTriesMax; i++) {
      expect((await login(gateway, `wrong-secret-0000${i}`)).status).toBe(401);
    }
    const late = await login(gateway, adminKey);
    expect(late.status).toBe(429);
    expect(Number(late.headers['retry-after'])).toBeGreaterThan(0);
    const bearer = { authorization: `Bearer ${adminKey}` };
    const metrics = await send(gateway, 'GET', '/metrics', bearer);
    expect(metrics.body).toContain('kvoyant_limited_total{limit="loginTriesMax"} 1');
  });

  it('a flood of sessions only ends the oldest', async () => {
    const { gateway } = await keyed();
    const first = await cookieOf(gateway, adminKey);
    let last = '';
    for (let i = 0; i < pageSessionsMax; i++) last = await cookieOf(gateway, adminKey);
    expect((await send(gateway, 'GET', '/page/session', { cookie: first })).body).toContain('"open":false');
    expect((await send(gateway, 'GET', '/page/snapshot', { cookie: last })).status).toBe(200);
  });

  it('bodies that are no login are refused', async () => {
    const { gateway } = await keyed();
    for (const body of ['', 'null', '[]', '"x"', '{"key":', `{"key":"${'x'.repeat(10_000)}"}`, '{"key":{"a":1}}']) {
      const { status } = await send(gateway, 'POST', '/page/login', own(gateway), body);
      expect([400, 401, 413], body.slice(0, 20)).toContain(status);
    }
  });

  it('without keys, foreign pages and proxies see nothing', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const foreign: Record<string, string>[] = [
      { host: 'evil.example' },
      { 'x-forwarded-for': '10.0.0.1' },
      { origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of foreign) {
      for (const name of data) expect((await send(gateway, 'GET', `/page/${name}`, headers)).status).toBe(403);
    }
    // A link on another site may lead to the page, which holds no data.
    expect((await send(gateway, 'GET', '/dashboard', { 'sec-fetch-site': 'cross-site' })).status).toBe(302);
    expect((await send(gateway, 'GET', '/dashboard', { host: 'evil.example' })).status).toBe(403);
    const own = JSON.parse((await send(gateway, 'GET', '/page/session')).body) as PageSession;
    expect(own).toEqual({ open: true, needsKey: false, mayAct: true, expiresMs: null });
  });

  it('the port of clients has neither page nor login', async () => {
    const { gateway } = await keyed();
    for (const path of ['/', '/dashboard/', '/page/session', '/page/snapshot']) {
      expect([401, 404], path).toContain((await fetch(gateway.url + path)).status);
    }
  });

  it('a page that never reads is not buffered for, and does not hold up the others', async () => {
    const engine = await harness.engine();
    const models = Array.from({ length: 200 }, (_, i) => `${'m'.repeat(200)}-${i}`);
    engine.models = ['fake', ...models];
    const gateway = await harness.gateway({ workers: [engine.url], pageViewersMax: 4 });
    const { hostname, port } = new URL(gateway.adminUrl);
    const deaf: Socket[] = [];
    for (let i = 0; i < 3; i++) {
      const socket = connect(Number(port), hostname);
      socket.pause();
      socket.write(`GET /page/stream HTTP/1.1\r\nhost: ${hostname}:${port}\r\n\r\n`);
      deaf.push(socket);
    }
    await eventually(async () => ((await getJson(gateway, '/page/snapshot')) as Snapshot).router.viewers === 3);
    const stream = await PageStream.open(`${gateway.adminUrl}/page/stream`);
    await stream.next('snapshot');
    for (let i = 0; i < 2; i++) expect((await stream.next('snapshot')).router.viewers).toBe(4);
    for (const socket of deaf) socket.destroy();
    stream.close();
    await eventually(async () => ((await getJson(gateway, '/page/snapshot')) as Snapshot).router.viewers === 0);
  });
});

describe('the files of the page', () => {
  async function served(): Promise<Gateway> {
    const built = join(folder.path, 'page');
    mkdirSync(join(built, 'assets'), { recursive: true });
    writeFileSync(join(built, 'index.html'), '<!doctype html><title>kvoyant</title>');
    writeFileSync(join(built, 'assets', 'main-abc.js'), 'export {};');
    writeFileSync(join(built, 'assets', 'main-abc.js.br'), 'compressed');
    writeFileSync(join(built, 'assets', 'notes.unknown'), 'not served');
    writeFileSync(join(folder.path, 'secret.js'), 'secret');
    const engine = await harness.engine();
    return await harness.gateway({ workers: [engine.url] }, 1, ['fake'], { pageFolder: built });
  }

  it('have a strict policy, a tag, and are compressed as the browser likes', async () => {
    const gateway = await served();
    const page = await send(gateway, 'GET', '/dashboard/');
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    expect(page.headers['content-security-policy']).not.toContain('unsafe');
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
    });
    const again = await send(gateway, 'GET', '/dashboard/', { 'if-none-match': page.headers.etag! });
    expect([again.status, again.body]).toEqual([304, '']);
    const plain = await send(gateway, 'GET', '/dashboard/assets/main-abc.js');
    expect([plain.body, plain.headers['content-encoding']]).toEqual(['export {};', undefined]);
    expect(plain.headers['cache-control']).toContain('immutable');
    const small = await send(gateway, 'GET', '/dashboard/assets/main-abc.js', { 'accept-encoding': 'gzip, br' });
    expect([small.body, small.headers['content-encoding']]).toEqual(['compressed', 'br']);
    const none = await send(gateway, 'GET', '/dashboard/assets/main-abc.js', { 'accept-encoding': 'br;q=0' });
    expect(none.headers['content-encoding']).toBeUndefined();
    expect((await send(gateway, 'HEAD', '/dashboard/')).body).toBe('');
    expect((await send(gateway, 'POST', '/dashboard/', own(gateway), '')).status).toBe(405);
  });

  it('no path leads out of their folder', async () => {
    const gateway = await served();
    const paths = [
      '/dashboard/../secret.js',
      '/dashboard/assets/../../secret.js',
      '/dashboard/%2e%2e/secret.js',
      '/dashboard/..%2fsecret.js',
      '/dashboard/assets/..%5c..%5csecret.js',
      '/dashboard//etc/passwd',
      '/dashboard/%00',
      '/dashboard/assets/notes.unknown',
      '/dashboard/assets/',
      '/dashboard/constructor',
    ];
    for (const path of paths) {
      const { status, body } = await send(gateway, 'GET', path);
      expect([400, 404], path).toContain(status);
      expect(body).not.toContain('secret;');
    }
  });

  it('a page that is not built says what to do', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] }, 1, ['fake'], {
      pageFolder: join(folder.path, 'nothing'),
    });
    const { status, body } = await send(gateway, 'GET', '/dashboard/');
    expect(status).toBe(503);
    expect(body).toContain('npm run build');
  });
});
