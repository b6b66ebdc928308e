// Engines that ask the gateway for a certificate.

import { readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { endStream, type FakeEngine, type FakeRequest, openStream, sendToken, streamTokens } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';
import {
  authorityFile,
  type ClientCertificate,
  clientAuthorityFile,
  clientFiles,
  clientIdentity,
  strangerFile,
  tlsIdentity,
} from './tls-files.ts';

let harness: Harness;
let folder: TemporaryFolder;
const doors: Door[] = [];
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
});
afterEach(async () => {
  await harness.end();
  for (const door of doors.splice(0)) door.close();
  folder.remove();
});

/** TLS in front of an engine, which only lets in who has a certificate of the authority. */
class Door {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** Common names of those that came in, one for each connection. */
  readonly seen: string[] = [];

  private constructor(engine: FakeEngine, authority: string, identity: 'first' | 'second') {
    this.#server = createServer(
      { ...tlsIdentity(identity), ca: authority, requestCert: true, rejectUnauthorized: true },
      (socket) => {
        this.#sockets.add(socket);
        this.seen.push(String(socket.getPeerCertificate().subject.CN));
        const inner = connect(Number(new URL(engine.url).port), '127.0.0.1');
        for (const end of [socket, inner]) end.on('error', () => socket.destroy()).on('close', () => inner.destroy());
        socket.pipe(inner).pipe(socket);
      },
    );
    this.#server.on('tlsClientError', () => undefined);
  }

  static async open(engine: FakeEngine, authority: string, identity: 'first' | 'second' = 'first'): Promise<Door> {
    const door = new Door(engine, authority, identity);
    doors.push(door);
    await new Promise<void>((resolve) => {
      door.#server.listen(0, '127.0.0.1', resolve);
    });
    return door;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** What engines trust. */
const clientAuthority = readFileSync(clientAuthorityFile, 'utf8');

function shownBy(name: ClientCertificate): Pick<GatewayOptions, 'workerCertFile' | 'workerKeyFile'> {
  const { certFile, keyFile } = clientFiles(name);
  return { workerCertFile: certFile, workerKeyFile: keyFile };
}

const stream = (gateway: Gateway): Promise<{ status: number; body: string }> =>
  post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });

describe('an engine that asks for a certificate', () => {
  it('is shown the one for all engines, or its own', async () => {
    const engines = await harness.engines(2);
    const [common, own] = await Promise.all(engines.map((engine) => Door.open(engine, clientAuthority)));
    const { certFile, keyFile } = clientFiles('bob');
    const gateway = await harness.gateway({
      workers: [common!.url, `${own!.url},cert-file=${certFile},key-file=${keyFile}`],
      workerCaFile: authorityFile,
      ...shownBy('alice'),
      policy: 'round-robin',
    });
    for (let i = 0; i < 4; i++) expect((await stream(gateway)).body).toContain('[DONE]');
    expect(new Set(common!.seen)).toEqual(new Set(['alice']));
    expect(new Set(own!.seen)).toEqual(new Set(['bob']));
  });

  it.each([
    ['without any', {}],
    ['with one of another authority', shownBy('forged')],
    ['with one that has expired', shownBy('expired')],
  ] as const)('is not used by a gateway %s, which says what it needs', async (_, settings) => {
    const door = await Door.open(await harness.engine(), clientAuthority);
    const gateway = await harness.gateway({ workers: [door.url], workerCaFile: authorityFile, ...settings }, 0, []);
    await eventually(async () => /worker-cert-file/.test(JSON.stringify(await getJson(gateway, '/workers'))));
    expect((await stream(gateway)).status).toBe(503);
    expect(door.seen).toEqual([]);
  });

  it('is checked against its own authority and name', async () => {
    const door = await Door.open(await harness.engine(), clientAuthority);
    const right = `${door.url},ca-file=${authorityFile},server-name=engines.test`;
    const gateway = await harness.gateway({ workers: [right], workerCaFile: strangerFile, ...shownBy('alice') });
    expect((await stream(gateway)).body).toContain('[DONE]');
    for (const [options, reason] of [
      [`ca-file=${strangerFile}`, /not trusted/],
      [`ca-file=${authorityFile},server-name=other.test`, /another name/],
    ] as const) {
      const other = await harness.gateway({ workers: [`${door.url},${options}`], ...shownBy('alice') }, 0, []);
      await eventually(async () => reason.test(JSON.stringify(await getJson(other, '/workers'))));
    }
  });

  it('is shown the one of its pool, and checked against its authority, also after a reload changes them', async () => {
    const engines = await harness.engines(3);
    const [common, pooled, own] = await Promise.all(engines.map((engine) => Door.open(engine, clientAuthority)));
    const { certFile, keyFile } = clientFiles('alice');
    const poolOf = (name: ClientCertificate, more: object = {}) => ({
      ...{ name: 'apart', workerCaFile: authorityFile, ...shownBy(name), ...more },
    });
    const options = (pool: object): GatewayOptions => ({
      workers: [
        `${common!.url},ca-file=${authorityFile}`,
        `${pooled!.url},pool=apart`,
        `${own!.url},pool=apart,cert-file=${certFile},key-file=${keyFile}`,
      ],
      // Of nobody: each door is reached by a nearer setting.
      workerCaFile: strangerFile,
      ...shownBy('alice'),
      pools: [pool as never],
      port: 0,
      logLevel: 'silent',
    });
    const gateway = await harness.gateway(options(poolOf('bob')), 3);
    const seen = () => [common, pooled, own].map((door) => [...new Set(door!.seen)]);
    expect(seen()).toEqual([['alice'], ['bob'], ['alice']]);
    expect(gateway.referencedPaths).toContain(clientFiles('bob').keyFile);
    // One of its other settings needs a restart; its certificates do not.
    expect(await gateway.reload(() => options(poolOf('alice', { queue: false })))).toMatchObject({
      changed: expect.arrayContaining(['pools']),
      needRestart: expect.arrayContaining(['pools']),
    });
    await eventually(() => pooled!.seen.includes('alice'));
    expect(gateway.config.pools[0]).toMatchObject({ workerCertFile: clientFiles('alice').certFile });
    expect(gateway.config.pools[0]).not.toHaveProperty('queue');
    // Without its own: those of all.
    expect(await gateway.reload(() => options({ name: 'apart', workerCaFile: authorityFile }))).not.toBe(null);
    expect(gateway.config.pools[0]).toEqual({ name: 'apart', workerCaFile: authorityFile });
    expect(await gateway.reload(() => options(poolOf('alice', { workerKeyFile: '/no/such.pem' })))).toBe(null);
  });

  it('is shown a renewed certificate after a reload, and streams that run go on', async () => {
    const engine = await harness.engine();
    const door = await Door.open(engine, clientAuthority);
    const write = (name: ClientCertificate) => ({
      workerCertFile: folder.write('cert.pem', clientIdentity(name).cert),
      workerKeyFile: folder.write('key.pem', clientIdentity(name).key),
    });
    const options = { workers: [door.url], workerCaFile: authorityFile, ...write('alice') };
    const gateway = await harness.gateway(options);
    expect(gateway.referencedPaths).toContain(options.workerKeyFile);
    const held: FakeRequest[] = [];
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
      held.push(request);
    };
    const running = stream(gateway);
    await eventually(() => held.length === 1);
    engine.behaviour = (request) => streamTokens(request, 3);
    write('bob');
    expect(await gateway.reload(() => ({ ...options, port: 0, logLevel: 'silent' }))).not.toBe(null);
    expect((await stream(gateway)).body).toContain('[DONE]');
    endStream(held[0]!, 5, 1);
    expect((await running).body).toContain('[DONE]');
    await eventually(() => door.seen.includes('bob'));
    // A key that is not the certificate's: the old ones stay.
    folder.write('key.pem', clientIdentity('alice').key);
    expect(await gateway.reload(() => ({ ...options, port: 0, logLevel: 'silent' }))).toBe(null);
    expect((await stream(gateway)).body).toContain('[DONE]');
  });

  it('gets requests of a gateway with threads, before and after a renewal', async () => {
    const door = await Door.open(await harness.engine(), clientAuthority);
    const write = (name: ClientCertificate) => ({
      workerCertFile: folder.write('cert.pem', clientIdentity(name).cert),
      workerKeyFile: folder.write('key.pem', clientIdentity(name).key),
    });
    const common = { workers: [door.url], workerCaFile: authorityFile, port: 0, logLevel: 'silent' } as const;
    const options = { ...common, threads: 2, tokenizer: 'builtin', trustTokenizer: true, ...write('alice') };
    const gateway = await harness.gateway(options);
    expect((await stream(gateway)).body).toContain('[DONE]');
    write('bob');
    await gateway.reload(() => options);
    const before = door.seen.filter((name) => name === 'bob').length;
    for (let i = 0; i < 4; i++) expect((await stream(gateway)).body).toContain('[DONE]');
    expect(door.seen.filter((name) => name === 'bob').length).toBeGreaterThan(before);
  }, 60_000);
});

describe('the files of an engine', () => {
  const { certFile, keyFile } = clientFiles('alice');

  it.each([
    ['https://127.0.0.1:1,cert-file=/x.pem', /key-file of .* is missing/],
    ['https://127.0.0.1:1,key-file=/x.pem', /cert-file of .* is missing/],
    ['http://127.0.0.1:1,ca-file=/x.pem', /needs an address with https/],
    ['https://127.0.0.1:1,ca-file=/no/such.pem', /\/no\/such\.pem can't be read/],
    [`https://127.0.0.1:1,ca-file=${keyFile}`, /has no certificate/],
    [`https://127.0.0.1:1,cert-file=${certFile},key-file=${clientFiles('bob').keyFile}`, /can't be used/],
  ])('are checked: %s', async (worker, message) => {
    await expect(harness.gateway({ workers: [worker] }, 0, [])).rejects.toThrow(message);
  });

  it.each([
    [`canary,worker-cert-file=${certFile}`, /workerKeyFile of canary is missing/],
    [`canary,worker-key-file=${keyFile}`, /workerCertFile of canary is missing/],
    ['canary,worker-ca-file=/no/such.pem', /\/no\/such\.pem can't be read/],
    [`canary,worker-ca-file=${keyFile}`, /has no certificate/],
    ['canary,worker-ca-file=', /workerCaFile of canary is empty/],
    [`canary,worker-cert-file=${certFile},worker-key-file=${clientFiles('bob').keyFile}`, /can't be used/],
  ])('of a pool are checked before a worker joins it: %s', async (pool, message) => {
    await expect(harness.gateway({ workers: ['http://127.0.0.1:1'], pools: [pool] }, 0, [])).rejects.toThrow(message);
  });

  it('are named by the configuration only', async () => {
    const gateway = await harness.gateway({ workers: ['http://127.0.0.1:1'] }, 0, []);
    const send = (method: string, path: string, body: unknown) =>
      fetch(`${gateway.adminUrl}${path}`, { method, body: JSON.stringify(body) });
    for (const body of [
      { url: 'https://127.0.0.1:2', caFile: '/etc/passwd' },
      'https://127.0.0.1:2,ca-file=/etc/passwd',
    ]) {
      const answer = await send('POST', '/workers', body);
      expect(answer.status).toBe(400);
      expect(await answer.text()).toMatch(/caFile can only be set in the configuration/);
    }
    const id = encodeURIComponent('http://127.0.0.1:1');
    expect((await send('PATCH', `/workers/${id}`, { keyFile: '/etc/shadow' })).status).toBe(400);
  });
});
