// Every way in which a connection can end or stay open: its slot is freed, and the gateway can be closed.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { getText } from '../fault/processes.ts';
import { eventually, Harness } from './harness.ts';
import { tlsSettings } from './tls-files.ts';

const requestMsMax = 300;
const socketCount = 5;
const key = 'a-secret-000000000000001';

let harness: Harness;
let sockets: Socket[] = [];
beforeEach(() => {
  harness = new Harness();
  sockets = [];
});
afterEach(async () => {
  await harness.end();
  for (const socket of sockets) socket.destroy();
});

type Layer = 'plain' | 'TLS';

async function start(layer: Layer, options: GatewayOptions = {}): Promise<Gateway> {
  const engine = await harness.engine();
  return harness.gateway({
    ...{ workers: [engine.url], requestMsMax, apiKeys: [`a:${key}`] },
    ...(layer === 'TLS' && tlsSettings('first')),
    ...options,
  });
}

function keep<S extends Socket>(socket: S): S {
  sockets.push(socket);
  // Read, so that the other side's end is noticed; our side stays open.
  socket.on('error', () => undefined).resume();
  return socket;
}

/** A plain TCP connection, whatever protocol the gateway expects. */
function openPlain({ url }: Gateway): Socket {
  const { hostname, port } = new URL(url);
  return keep(connect({ port: Number(port), host: hostname, allowHalfOpen: true }));
}

function openAs(layer: Layer, gateway: Gateway): Socket {
  if (layer === 'plain') return openPlain(gateway);
  const { hostname, port } = new URL(gateway.url);
  const options = { port: Number(port), host: hostname, rejectUnauthorized: false, allowHalfOpen: true };
  return keep(connectTls(options));
}

/** Without the connection that asks. */
async function openCount({ url, adminUrl }: Gateway): Promise<number> {
  const text = await getText(`${adminUrl}/metrics`);
  const counts = [...text.matchAll(/^kvoyant_client_connections\{state="\w+"\} (\d+)$/gm)];
  expect(counts).toHaveLength(3);
  const own = adminUrl === url ? 1 : 0;
  return counts.reduce((sum, [, count]) => sum + Number(count), 0) - own;
}

const lines = (...text: readonly string[]): string => `${text.join('\r\n')}\r\n\r\n`;
const authorization = `authorization: Bearer ${key}`;
const post = (...headers: readonly string[]): string =>
  lines('POST /v1/completions HTTP/1.1', 'host: x', authorization, ...headers);

/** Ways in which a client misbehaves on a ready connection. */
const ways: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => undefined,
  'sends what is no HTTP': (socket) => socket.write('\x16\x03\x01\x02\x00\x01\r\n\r\n'),
  'sends what is no HTTP, and more of it later': (socket) => {
    socket.write('no\r\n\r\n');
    setTimeout(() => socket.write('no\r\n\r\n'), 50);
  },
  'sends the preface of HTTP/2': (socket) => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  'sends half a head': (socket) => socket.write('POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-a:'),
  'sends a head in single bytes': (socket) => {
    const text = post('content-length: 0');
    let sent = 0;
    const timer = setInterval(() => socket.write(text[sent++ % text.length]!), 20);
    socket.on('close', () => clearInterval(timer));
  },
  'sends too large a head': (socket) => socket.write(post(`x-a: ${'x'.repeat(100_000)}`)),
  'sends half a body': (socket) => socket.write(`${post('content-length: 100')}{`),
  'sends half a body and resets': (socket) => {
    socket.write(`${post('content-length: 100')}{`);
    setTimeout(() => socket.destroy(), 20);
  },
  'closes its side after half a body': (socket) => socket.end(`${post('content-length: 100')}{`),
  'closes its side after a request': (socket) => socket.end(lines('GET /health HTTP/1.1', 'host: x')),
  'closes its side at once': (socket) => socket.end(),
  'asks without a key and sends a body without an end': (socket) => {
    socket.write(lines('POST /v1/completions HTTP/1.1', 'host: x', 'content-length: 100000000'));
    const timer = setInterval(() => socket.write('x'.repeat(1000)), 20);
    socket.on('close', () => clearInterval(timer));
  },
  'announces too large a body': (socket) => socket.write(post('content-length: 100000000000')),
  'expects 100-continue and sends nothing then': (socket) =>
    socket.write(post('content-length: 100', 'expect: 100-continue')),
  'expects something else': (socket) => socket.write(post('content-length: 100', 'expect: magic')),
  'wants another protocol': (socket) =>
    socket.write(lines('GET /v1/models HTTP/1.1', 'host: x', 'connection: upgrade, close', 'upgrade: websocket')),
  'wants a tunnel': (socket) => socket.write(lines('CONNECT 127.0.0.1:22 HTTP/1.1', 'host: x')),
  'sends a chunk with a long extension': (socket) =>
    socket.write(`${post('transfer-encoding: chunked')}1;${'x'.repeat(100_000)}\r\nx\r\n`),
  'sends a wrong chunk': (socket) => socket.write(`${post('transfer-encoding: chunked')}zz\r\n`),
  'sends long trailers': (socket) =>
    socket.write(`${post('transfer-encoding: chunked')}0\r\nx-a: ${'x'.repeat(100_000)}\r\n\r\n`),
  'pipelines, and closes after the last': (socket) =>
    socket.write(
      lines('GET /health HTTP/1.1', 'host: x').repeat(5) +
        lines('GET /health HTTP/1.1', 'host: x', 'connection: close'),
    ),
  'pipelines without end': (socket) => socket.write(lines('GET /v1/models HTTP/1.1', 'host: x').repeat(2000)),
  'pipelines half a request behind one that takes long': (socket) =>
    socket.write(`${post('content-length: 2')}{}${post('content-length: 100')}{`),
};

/** Ways in which a client misbehaves before TLS is established. */
const handshakes: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => undefined,
  'speaks without TLS': (socket) => socket.write(lines('GET /health HTTP/1.1', 'host: x')),
  'begins a handshake': (socket) => socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01])),
  'begins a handshake and resets': (socket) => {
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
    setTimeout(() => socket.resetAndDestroy(), 20);
  },
  'begins a handshake and closes its side': (socket) => socket.end(Buffer.from([0x16, 0x03, 0x01])),
  'closes its side': (socket) => socket.end(),
  'sends single bytes of a handshake': (socket) => {
    const timer = setInterval(() => socket.write('\x16'), 20);
    socket.on('close', () => clearInterval(timer));
  },
};

async function misbehave(
  ways: Readonly<Record<string, (socket: Socket) => void>>,
  open: () => Socket,
  event: 'connect' | 'secureConnect',
): Promise<void> {
  for (const way of Object.values(ways)) {
    for (let i = 0; i < socketCount; i++) {
      const socket = open();
      await once(socket, event);
      way(socket);
    }
  }
}

async function expectAllClosed(gateway: Gateway): Promise<void> {
  await expect.poll(() => openCount(gateway), { timeout: 20_000 }).toBe(0);
}

describe('a connection frees its slot whatever a client does that', () => {
  it('speaks without TLS', async () => {
    const gateway = await start('plain');
    await misbehave(ways, () => openAs('plain', gateway), 'connect');
    await expectAllClosed(gateway);
  });

  it('speaks TLS', async () => {
    // Each handshake must end in that time, on a machine with other work.
    const gateway = await start('TLS', { requestMsMax: 2000 });
    await misbehave(ways, () => openAs('TLS', gateway), 'secureConnect');
    await expectAllClosed(gateway);
  });

  it('should speak TLS', async () => {
    const gateway = await start('TLS');
    await misbehave(handshakes, () => openPlain(gateway), 'connect');
    await expectAllClosed(gateway);
  });
});

describe('a gateway closes while clients', () => {
  const closes = async (gateway: Gateway, count: number): Promise<void> => {
    await eventually(async () => (await openCount(gateway)) === count);
    await gateway.close();
    for (const socket of sockets) await eventually(() => socket.destroyed || socket.readableEnded);
    await expect(fetch(`${gateway.url}/health`)).rejects.toThrow('fetch failed');
  };

  it('have connections without a request, or with half a request', async () => {
    const gateway = await start('plain', { requestMsMax: 60_000 });
    const begun = ['says nothing', 'sends half a head', 'sends half a body', 'closes its side after half a body'];
    await misbehave(
      Object.fromEntries(begun.map((name) => [name, ways[name]!])),
      () => openAs('plain', gateway),
      'connect',
    );
    await closes(gateway, 3 * socketCount);
  });

  it('are in the middle of a TLS handshake', async () => {
    const gateway = await start('TLS', { requestMsMax: 60_000 });
    const begun = ['says nothing', 'begins a handshake'];
    await misbehave(
      Object.fromEntries(begun.map((name) => [name, handshakes[name]!])),
      () => openPlain(gateway),
      'connect',
    );
    await misbehave({ idle: () => undefined }, () => openAs('TLS', gateway), 'secureConnect');
    await closes(gateway, 3 * socketCount);
  });
});
