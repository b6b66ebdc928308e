// Clients that prove who they are by a certificate, and those that only seem to.

import { readFileSync } from 'node:fs';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { chatBody, eventually, Harness } from './harness.ts';
import { LogLines } from './log-lines.ts';
import {
  authorityFile,
  type ClientCertificate,
  clientAuthorityFile,
  clientIdentity,
  strangerFile,
  tlsSettings,
} from './tls-files.ts';

let harness: Harness;
let folder: TemporaryFolder;
const agents: Agent[] = [];
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
});
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy();
  await harness.end();
  folder.remove();
});

const secret = 'the-secret-of-carol';
const ca = readFileSync(authorityFile, 'utf8');
const alices = ['dns:Alice.example.org', 'uri:spiffe://example.org/alice', 'email:alice@example.org', 'cn:alice'];

/** A gateway whose key `alice` one name of a certificate opens, and whose key `carol` a secret. */
async function started(name: string, more: GatewayOptions = {}) {
  const engine = await harness.engine({ models: ['fake', 'other'] });
  const options = {
    workers: [engine.url],
    ...tlsSettings('first'),
    clientCaFile: clientAuthorityFile,
    apiKeys: [
      { name: 'alice', certificates: [name], models: ['fake'] },
      { name: 'carol', key: secret },
    ],
    logLevel: 'info',
    logRequests: true,
    ...more,
  } as const satisfies GatewayOptions;
  const log = new LogLines();
  const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
  const reload = (next: GatewayOptions) =>
    gateway.reload(() => ({ canary: false, probeIntervalMs: 25, shutdownGraceMs: 200, port: 0, ...options, ...next }));
  return { engine, gateway, log, reload };
}

interface Asked {
  readonly certificate?: ClientCertificate;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly model?: string;
  readonly agent?: Agent;
  /** Resumes this session. */
  readonly session?: Buffer | undefined;
}

/** @returns the status, or `refused` if the handshake fails, and the answer's text */
function ask(
  gateway: Gateway,
  { certificate, headers = {}, path = '/v1/chat/completions', model = 'fake', agent, session }: Asked,
): Promise<{ status: number | 'refused'; text: string; socket: TLSSocket | null }> {
  return new Promise((resolve) => {
    const isPost = path.startsWith('/v1/chat');
    const request = httpsRequest(gateway.url + path, {
      method: isPost ? 'POST' : 'GET',
      headers: { 'content-type': 'application/json', ...headers },
      ca,
      agent: agent ?? false,
      ...(certificate !== undefined && clientIdentity(certificate)),
      ...(session !== undefined && { session }),
    } as RequestOptions);
    request.on('error', (error) => resolve({ status: 'refused', text: error.message, socket: null }));
    request.on('response', (response) => {
      const { socket } = response;
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text, socket: socket as TLSSocket }));
    });
    request.end(isPost ? JSON.stringify({ ...chatBody, model }) : undefined);
  });
}

const statusOf = async (gateway: Gateway, asked: Asked): Promise<number | 'refused'> =>
  (await ask(gateway, asked)).status;

const bearer = (key: string): { authorization: string } => ({ authorization: `Bearer ${key}` });

function keptAgent(certificate: ClientCertificate): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca, ...clientIdentity(certificate) });
  agents.push(agent);
  return agent;
}

describe('a certificate', () => {
  it.each(alices)('whose name %s a key has gives the rights of that key', async (name) => {
    const { gateway, engine, log } = await started(name);
    expect(await statusOf(gateway, { certificate: 'alice' })).toBe(200);
    expect(await statusOf(gateway, { certificate: 'alice', model: 'other' })).toBe(403);
    // As clients that must have some key send it.
    expect(await statusOf(gateway, { certificate: 'alice', headers: bearer('unused') })).toBe(200);
    expect(engine.requests.at(-1)!.headers.authorization).toBe(undefined);
    const keys = log.with('request').map(({ key }) => key);
    expect(new Set(keys)).toEqual(new Set(['alice']));
  });

  it('gives way to a known key, and is not needed with one', async () => {
    const { gateway } = await started('cn:alice');
    const asked = { headers: bearer(secret), model: 'other' };
    expect(await statusOf(gateway, { ...asked, certificate: 'alice' })).toBe(200);
    expect(await statusOf(gateway, asked)).toBe(200);
    expect(await statusOf(gateway, {})).toBe(401);
    expect(await statusOf(gateway, { headers: bearer('unknown-secret-000') })).toBe(401);
  });

  it.each(alices)('that does not prove the name %s gives no rights', async (name) => {
    const { gateway } = await started(name);
    for (const certificate of ['bob', 'forged', 'server', 'expired', 'tricky'] as const) {
      // A name that stands between quotes is another one.
      const isHers = certificate === 'tricky' && name.startsWith('uri:');
      expect([certificate, await statusOf(gateway, { certificate })]).toEqual([certificate, isHers ? 200 : 401]);
    }
  });

  it('can be required: others do not get through the handshake', async () => {
    const { gateway } = await started('cn:alice', { clientCertRequired: true });
    for (const certificate of ['forged', 'server', 'expired'] as const) {
      expect(await statusOf(gateway, { certificate, headers: bearer(secret) })).toBe('refused');
    }
    expect(await statusOf(gateway, { headers: bearer(secret) })).toBe('refused');
    expect(await statusOf(gateway, { path: '/health' })).toBe('refused');
    expect(await statusOf(gateway, { certificate: 'bob' })).toBe(401);
    expect(await statusOf(gateway, { certificate: 'bob', headers: bearer(secret) })).toBe(200);
    expect(await statusOf(gateway, { certificate: 'alice' })).toBe(200);
  });

  it('that is required is enough without any key', async () => {
    const { gateway } = await started('cn:alice', { clientCertRequired: true, apiKeys: [], host: '::' });
    const at = { url: gateway.url.replace('[::]', '127.0.0.1') } as Gateway;
    expect(await statusOf(at, { certificate: 'bob' })).toBe(200);
    expect(await statusOf(at, {})).toBe('refused');
  });
});

describe('after a reload', () => {
  it('a name that no key has any more opens nothing, on connections that are open too', async () => {
    const { gateway, reload } = await started('cn:alice');
    const agent = keptAgent('alice');
    expect(await statusOf(gateway, { agent })).toBe(200);
    expect(await reload({ apiKeys: [{ name: 'bob', certificates: ['cn:bob'] }] })).not.toBe(null);
    expect(await statusOf(gateway, { agent })).toBe(401);
    expect(await statusOf(gateway, { certificate: 'bob' })).toBe(200);
  });

  it.each([false, true])('only certificates of the new authorities count (required: %s)', async (required) => {
    const path = folder.write('clients.pem', readFileSync(clientAuthorityFile, 'utf8'));
    const { gateway, reload } = await started('cn:alice', { clientCaFile: path, clientCertRequired: required });
    const agent = keptAgent('alice');
    // Sessions that were begun with the old authorities.
    const sessions: Buffer[] = [];
    agent.on('keylog', (_, socket: TLSSocket) => socket.once('session', (session: Buffer) => sessions.push(session)));
    expect(await statusOf(gateway, { agent })).toBe(200);
    await eventually(() => sessions.length > 0);
    const [session] = sessions;
    // It has the certificate in it.
    const resumed = await ask(gateway, { session });
    expect([resumed.status, resumed.socket?.isSessionReused()]).toEqual([200, true]);
    folder.write('clients.pem', readFileSync(strangerFile, 'utf8'));
    expect(await reload({})).not.toBe(null);
    const kept = await ask(gateway, { agent });
    expect(kept.status).toBe(401);
    const none = required ? 'refused' : 401;
    expect(await statusOf(gateway, { session })).toBe(none);
    expect(await statusOf(gateway, { certificate: 'alice', session })).toBe(none);
    expect(await statusOf(gateway, { certificate: 'alice' })).toBe(none);
    expect(await statusOf(gateway, { certificate: 'forged' })).toBe(200);
  });

  it('certificates are still asked for: a configuration without authorities is refused', async () => {
    const { gateway, reload } = await started('cn:alice');
    expect(await reload({ clientCaFile: null, apiKeys: [{ name: 'carol', key: secret }] })).toBe(null);
    expect(await statusOf(gateway, { certificate: 'alice' })).toBe(200);
  });
});

describe('with threads', () => {
  it('a certificate counts on every route, and no header stands for one', async () => {
    const { gateway, log } = await started('cn:alice', { threads: 2, tokenizer: 'builtin', trustTokenizer: true });
    const headers = { 'x-kvoyant-proven-name': Buffer.from('cn:alice').toString('base64url') };
    for (const path of ['/v1/chat/completions', '/v1/models']) {
      expect(await statusOf(gateway, { path, certificate: 'alice' })).toBe(200);
      expect(await statusOf(gateway, { path, certificate: 'bob' })).toBe(401);
      expect(await statusOf(gateway, { path, certificate: 'bob', headers })).toBe(401);
      expect(await statusOf(gateway, { path, headers })).toBe(401);
    }
    expect((await ask(gateway, { path: '/v1/models', certificate: 'alice' })).text).not.toContain('other');
    expect(log.with('request').some(({ key }) => key === 'alice')).toBe(true);
  }, 60_000);

  it('one that is required is enough without any key, whoever serves the route', async () => {
    const threads = { threads: 2, tokenizer: 'builtin', trustTokenizer: true };
    const { gateway } = await started('cn:alice', { ...threads, clientCertRequired: true, apiKeys: [] });
    for (const path of ['/v1/chat/completions', '/v1/models']) {
      expect(await statusOf(gateway, { path, certificate: 'bob' })).toBe(200);
    }
  }, 60_000);
});

describe('a certificate of an operator', () => {
  const adminHost = '0.0.0.0';
  /** Of the operators' listener. */
  interface Operated {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly agent?: Agent;
  }

  function operate(gateway: Gateway, certificate: ClientCertificate | null, asked: Operated = {}): Promise<number> {
    const { method = 'GET', path = '/workers', headers = {}, agent = false } = asked;
    return new Promise((resolve, reject) => {
      const { port } = new URL(gateway.adminUrl);
      const own = certificate === null ? {} : clientIdentity(certificate);
      const request = httpsRequest({ host: '127.0.0.1', port, path, method, headers, ca, agent, ...own });
      request.on('error', reject);
      request.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode!)));
      request.end();
    });
  }

  const worker = encodeURIComponent('http://127.0.0.1:1');
  const write = { method: 'POST', path: `/workers/${worker}/drain` };
  /** A write that is admitted: there is no such worker. */
  const admitted = 404;

  it("gives its rights at the operators' listener, and at no other", async () => {
    const { gateway, reload } = await started('cn:alice', {
      ...{ adminHost, adminCertificates: ['cn:alice'], viewCertificates: ['cn:bob', 'cn:alice'] },
    });
    expect(await operate(gateway, 'alice')).toBe(200);
    expect(await operate(gateway, 'alice', write)).toBe(admitted);
    expect(await operate(gateway, 'bob')).toBe(200);
    expect(await operate(gateway, 'bob', write)).toBe(403);
    // Without a key nobody else is an operator any more, not even on this machine.
    for (const stranger of [null, 'forged', 'expired', 'tricky', 'server'] as const) {
      expect(await operate(gateway, stranger), String(stranger)).toBe(401);
      expect(await operate(gateway, stranger, write), String(stranger)).toBe(401);
    }
    // At the port of clients it is a client's.
    expect(await statusOf(gateway, { certificate: 'alice', path: '/workers' })).toBe(403);
    // The page of an operator needs no login.
    const kept = keptAgent('bob');
    expect(await operate(gateway, 'bob', { agent: kept })).toBe(200);
    // Names count at once, also for connections that are open.
    const none = { adminHost, adminCertificates: [], viewCertificates: [] };
    expect(await reload({ ...none, adminCertificates: ['cn:bob'] })).not.toBe(null);
    expect(await operate(gateway, 'bob', { ...write, agent: kept })).toBe(admitted);
    expect(await operate(gateway, 'alice')).toBe(401);
    // The last way in is not lost by a file that is cut off.
    expect(await reload({ ...none, viewKey: 'a-view-key-0000000001' })).toBe(null);
    expect(await operate(gateway, 'bob', write)).toBe(admitted);
    expect(await reload({ ...none, adminKey: 'an-admin-key-00000001' })).not.toBe(null);
    expect(await operate(gateway, 'bob')).toBe(401);
    expect(await operate(gateway, 'bob', { headers: bearer('an-admin-key-00000001') })).toBe(200);
  });

  it('is not lent to pages of other sites, though browsers show it for them', async () => {
    const { gateway } = await started('cn:alice', { adminHost, adminCertificates: ['cn:alice'] });
    const { port } = new URL(gateway.adminUrl);
    const own = { origin: `https://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' };
    expect(await operate(gateway, 'alice', { ...write, headers: own })).toBe(admitted);
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect(await operate(gateway, 'alice', { ...write, headers })).toBe(403);
      expect(await operate(gateway, 'alice', { headers })).toBe(403);
    }
  });

  it('opens the page without a login', async () => {
    const { gateway } = await started('cn:alice', {
      ...{ adminHost, adminCertificates: ['cn:alice'], viewCertificates: ['cn:bob'] },
    });
    const session = async (certificate: ClientCertificate | null): Promise<unknown> => {
      const { port } = new URL(gateway.adminUrl);
      const url = new URL(`https://127.0.0.1:${port}/page/session`);
      return new Promise((resolve, reject) => {
        const own = certificate === null ? {} : clientIdentity(certificate);
        httpsRequest(url, { ca, agent: false, ...own }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece) => {
            text += piece;
          });
          response.on('end', () => resolve(JSON.parse(text)));
        })
          .on('error', reject)
          .end();
      });
    };
    expect(await session('alice')).toMatchObject({ open: true, mayAct: true });
    expect(await session('bob')).toMatchObject({ open: true, mayAct: false });
    expect(await session(null)).toMatchObject({ open: false, needsKey: true });
  });

  it.each([
    [{ clientCaFile: null, adminHost }, /has no use without clientCaFile/],
    [{}, /needs the operators' listener at an address with TLS/],
    [{ adminHost, adminPort: 'none' }, /needs the operators' listener at an address with TLS/],
    [{ adminHost, adminCertificates: ['alice'] }, /must be cn:NAME/],
  ] as const)('is refused where it would be of no use: %o', async (more, message) => {
    const apiKeys = [{ name: 'carol', key: secret }];
    await expect(started('', { adminCertificates: ['cn:alice'], apiKeys, ...more } as GatewayOptions)).rejects.toThrow(
      message,
    );
  });
});
