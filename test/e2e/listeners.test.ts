// Listeners at unix sockets and IPv6 addresses, for clients and for operators, and who counts as being on this machine.

import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, symlinkSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startGateway } from '../../src/gateway/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { chatBody, eventually, Harness } from './harness.ts';

let harness: Harness;
let folder: TemporaryFolder;
let path: string;
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
  path = join(folder.path, 'k.sock');
});
afterEach(async () => {
  await harness.end();
  folder.remove();
});

interface Reply {
  readonly status: number;
  readonly text: string;
}

/** @param at a path of a socket, or host and port */
function send(
  at: string | { readonly host: string; readonly port: number },
  route: string,
  body: object | null = null,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      ...(typeof at === 'string' ? { socketPath: at } : at),
      path: route,
      method: body === null ? 'GET' : 'POST',
      headers: { ...(body !== null && { 'content-type': 'application/json' }), ...headers },
      agent: false,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    request.end(body === null ? undefined : JSON.stringify(body));
  });
}

const chat = '/v1/chat/completions';
const stream = { ...chatBody, stream: true };

function listening(server: Server, at: string): Promise<void> {
  return new Promise((resolve) => {
    server.listen(at, resolve);
  });
}

describe('at a unix socket', () => {
  it.each([1, 2])(
    'clients are served by %i thread(s), many at a time, without a key',
    async (threads) => {
      const engine = await harness.engine();
      const more = threads === 1 ? {} : ({ threads, tokenizer: 'builtin', trustTokenizer: true } as const);
      const gateway = await harness.gateway({ workers: [engine.url], host: `unix:${path}`, ...more });
      expect(gateway.url).toBe(`unix:${path}`);
      const replies = await Promise.all(Array.from({ length: 50 }, () => send(path, chat, stream)));
      expect(replies.every(({ status, text }) => status === 200 && text.includes('[DONE]'))).toBe(true);
      expect((await send(path, '/v1/models')).text).toContain('fake');
      expect((await send(path, '/nothing')).status).toBe(404);
      // Operators need a key at the clients' port, wherever it is.
      expect((await send(path, '/workers')).status).toBe(403);
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      expect(metrics).toMatch(/kvoyant_requests_total\{model="fake",status="200"\} 50/);
      await gateway.close();
      expect(existsSync(path)).toBe(false);
      expect(readdirSync(folder.path)).toEqual([]);
    },
    60_000,
  );

  it('keys count as elsewhere, and clients have the rights that this machine has without', async () => {
    const engine = await harness.engine();
    const keyed = await harness.gateway({
      workers: [engine.url],
      host: `unix:${path}`,
      apiKeys: ['k:some-secret-00000001'],
    });
    expect((await send(path, chat, stream)).status).toBe(401);
    const key = { authorization: 'Bearer some-secret-00000001' };
    expect((await send(path, chat, stream, key)).status).toBe(200);
    expect(engine.requests.at(-1)!.headers.authorization).toBe(undefined);
    await keyed.close();
    await harness.gateway({ workers: [engine.url], host: `unix:${path}` });
    expect((await send(path, chat, { ...stream, priority: -5 })).status).toBe(200);
    expect(JSON.parse(engine.requests.at(-1)!.body)).toMatchObject({ priority: -5 });
  });

  it('operators count as being on this machine, but not what a proxy or a foreign page sends', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], adminHost: `unix:${path}` });
    expect(gateway.adminUrl).toBe(`unix:${path}`);
    const get = async (headers: Record<string, string>) => (await send(path, '/workers', null, headers)).status;
    expect(await get({ host: 'localhost' })).toBe(200);
    expect(await get({ host: 'localhost', 'x-forwarded-for': '10.0.0.1' })).toBe(403);
    expect(await get({ host: 'kvoyant.example.org' })).toBe(403);
    expect(await get({ host: 'localhost', origin: 'http://elsewhere.example' })).toBe(403);
    expect((await send(path, '/workers', { url: 'http://127.0.0.1:1' }, { host: 'localhost' })).status).toBe(201);
    expect((await send({ host: '127.0.0.1', port: Number(new URL(gateway.url).port) }, '/workers')).status).toBe(403);
  });

  it('an admin key is needed there too, if one is set', async () => {
    const engine = await harness.engine();
    await harness.gateway({ workers: [engine.url], adminHost: `unix:${path}`, adminKey: 'some-admin-key-0001' });
    expect((await send(path, '/workers', null, { host: 'localhost' })).status).toBe(401);
    const key = { authorization: 'Bearer some-admin-key-0001' };
    expect((await send(path, '/workers', null, key)).status).toBe(200);
  });

  it('a slow or silent client does not stop others, and connections beyond the limit give way', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], host: `unix:${path}`, connectionsMax: 8 });
    const silent = Array.from({ length: 8 }, () => connect(path).on('error', () => undefined));
    await eventually(async () => {
      const shown = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      return /kvoyant_client_connections\{state="unproven"\} 8/.test(shown);
    });
    await eventually(async () => (await send(path, '/health').catch(() => null))?.status === 200);
    expect(silent.filter(({ readableEnded, destroyed }) => !readableEnded && !destroyed).length).toBeLessThan(8);
    for (const socket of silent) socket.destroy();
  });
});

describe('the socket', () => {
  const start = () =>
    startGateway({
      workers: ['http://127.0.0.1:1'],
      host: `unix:${path}`,
      adminPort: 0,
      logLevel: 'silent',
      canary: false,
    });

  it.each([
    ['660', 0o660],
    [600, 0o600],
    ['666', 0o666],
  ])('has the permissions %j', async (socketMode, mode) => {
    await harness.gateway(
      { workers: ['http://127.0.0.1:1'], host: `unix:${path}`, socketMode: socketMode as string },
      0,
      [],
    );
    expect(lstatSync(path).mode & 0o777).toBe(mode);
  });

  it('that a dead process left is replaced', async () => {
    const dead = createServer();
    await listening(dead, join(folder.path, 'old'));
    // Closing removes the socket at its first place only, so it stays, with nobody behind it.
    renameSync(join(folder.path, 'old'), path);
    await new Promise((resolve) => dead.close(resolve));
    expect(lstatSync(path).isSocket()).toBe(true);
    const gateway = await start();
    expect((await send(path, '/health')).status).toBe(200);
    await gateway.close();
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('that another process uses is left alone', async () => {
    const other = createServer((socket) => socket.on('error', () => undefined).end('mine'));
    await listening(other, path);
    await expect(start()).rejects.toThrow(/something listens on .* already/);
    const heard = await new Promise((resolve) => connect(path).once('data', (bytes) => resolve(String(bytes))));
    expect(heard).toBe('mine');
    await new Promise((resolve) => other.close(resolve));
  });

  it('of a successor stays when the predecessor ends', async () => {
    const first = await start();
    renameSync(path, join(folder.path, 'moved'));
    const second = await start();
    await first.close();
    expect((await send(path, '/health')).status).toBe(200);
    await second.close();
    expect(existsSync(path)).toBe(false);
  });

  it('never takes the place of something else', async () => {
    folder.write('k.sock', 'precious');
    await expect(start()).rejects.toThrow(/exists and is not a socket/);
    renameSync(path, join(folder.path, 'file'));
    symlinkSync(join(folder.path, 'file'), path);
    await expect(start()).rejects.toThrow(/exists and is not a socket/);
    renameSync(path, join(folder.path, 'link'));
    mkdirSync(path);
    await expect(start()).rejects.toThrow(/exists and is not a socket/);
    expect(readdirSync(folder.path).sort()).toEqual(['file', 'k.sock', 'link']);
  });

  it('that can not be made is an error with its path', async () => {
    path = '/no/such/folder/k.sock';
    await expect(start()).rejects.toThrow(/no\/such\/folder/);
    const options = { workers: ['http://127.0.0.1:1'], logLevel: 'silent', port: 0 } as const;
    await expect(startGateway({ ...options, adminHost: 'unix:/no/such/k.sock' })).rejects.toThrow(/no\/such/);
  });

  it.runIf(process.getuid?.() !== 0)('in a folder that can not be written is an error', async () => {
    chmodSync(folder.path, 0o500);
    await expect(start()).rejects.toThrow(/EACCES/);
    chmodSync(folder.path, 0o700);
  });
});

describe('a listen address', () => {
  const base = { workers: ['http://127.0.0.1:1'], logLevel: 'silent', canary: false, port: 0 } as const;

  it.each([
    [{ host: 'unix:relative.sock' }, /whole path/],
    [{ host: 'unix:' }, /whole path/],
    [{ host: `unix:/${'a'.repeat(98)}` }, /at most 98 bytes/],
    [{ host: '/run/k.sock' }, /must be an address, or unix:/],
    [{ host: 'unix:/tmp/k.sock', healthPort: 0 }, /healthPort|needs an address/],
    [{ host: 'unix:/tmp/k.sock', adminHost: 'unix:/tmp/k.sock' }, /where clients connect/],
    [{ host: '::' }, /open to other machines/],
    [{ host: '[::]' }, /open to other machines/],
    [{ host: 'fe80::1%eth0' }, /open to other machines/],
    [{ adminHost: '::' }, /open to other machines/],
    [{ socketMode: '680' }, /three digits/],
    [{ socketMode: '0o66' }, /three digits/],
  ])('%j is refused', async (options, message) => {
    await expect(startGateway({ ...base, ...options })).rejects.toThrow(message);
  });

  it.each(['::1', '[::1]', '127.0.0.9', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('%s needs no key', async (host) => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], host, adminHost: host });
    for (const url of [gateway.url, gateway.adminUrl]) expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await fetch(`${gateway.adminUrl}/workers`)).status).toBe(200);
  });

  it(':: serves IPv6 and IPv4, with the same keys; without an admin key only this machine operates', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({
      ...{ workers: [engine.url], host: '::', adminHost: '[::]', viewKey: 'some-view-key-00001' },
      apiKeys: ['k:some-secret-00000001'],
    });
    const port = Number(new URL(gateway.url).port);
    const adminPort = Number(new URL(gateway.adminUrl).port);
    const key = { authorization: 'Bearer some-secret-00000001' };
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const outside = own
      .filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0)
      .map(({ address }) => address);
    for (const host of ['127.0.0.1', '::1', ...outside]) {
      expect([host, (await send({ host, port }, chat, stream)).status]).toEqual([host, 401]);
      expect([host, (await send({ host, port }, chat, stream, key)).status]).toEqual([host, 200]);
      const isOwn = !outside.includes(host);
      const local = await send({ host, port: adminPort }, '/workers', null, { host: 'localhost' });
      expect([host, local.status]).toEqual([host, isOwn ? 200 : 403]);
    }
  });

  const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).filter(({ address }) => address.startsWith('fe80:')).map(({ address }) => `${address}%${name}`),
  )[0];
  it.runIf(linkLocal !== undefined)('may be link-local with its zone, and then needs keys', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({
      workers: [engine.url],
      host: linkLocal!,
      apiKeys: ['k:some-secret-00000001'],
    });
    const port = Number(/:(\d+)$/.exec(gateway.url)![1]);
    expect((await send({ host: linkLocal!, port }, chat, stream)).status).toBe(401);
    const key = { authorization: 'Bearer some-secret-00000001' };
    expect((await send({ host: linkLocal!, port }, chat, stream, key)).status).toBe(200);
  });
});
