// A server that reads connections in slices serves all of them: those of a burst, late senders, and those that leave.

import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AcceptHold } from '../../../src/gateway/http/accept-hold.ts';
import { receiveInSlices } from '../../../src/gateway/http/connection-slices.ts';
import { tlsIdentity } from '../../e2e/tls-files.ts';

let server: Server;
beforeEach(async () => {
  server = await listening(createServer(countBytes));
});
afterEach(() => server.close().closeAllConnections());

const countBytes: RequestListener = (request, response) => {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.end(String(bytes)));
};

async function listening<S extends Server>(created: S): Promise<S> {
  const nowMs = (): number => performance.now();
  receiveInSlices(created, new AcceptHold(nowMs), nowMs, () => true);
  created.listen({ port: 0, host: '127.0.0.1', backlog: 1024 });
  await once(created, 'listening');
  return created;
}

const portOf = (of: Server): number => (of.address() as AddressInfo).port;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function answerOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
  });
  await once(socket, 'end');
  return text.slice(text.lastIndexOf('\n') + 1);
}

const head = (bytes: number): string =>
  `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${bytes}\r\n\r\n`;
const opened = (): Socket => connect({ port: portOf(server), host: '127.0.0.1' }).on('error', () => undefined);

it('serves a whole burst, whatever the size of the bodies', async () => {
  const sizes = Array.from({ length: 300 }, (_, i) => (i % 7) * 20_000);
  const answers = sizes.map((bytes) => {
    const socket = opened();
    socket.write(head(bytes) + 'x'.repeat(bytes));
    return answerOf(socket);
  });
  expect(await Promise.all(answers)).toEqual(sizes.map((bytes) => `${bytes}`));
});

it('serves connections that are silent at first, and those that send byte by byte', async () => {
  const sockets = Array.from({ length: 40 }, opened);
  await sleep(1300);
  const answers = sockets.map(answerOf);
  for (const byte of `${head(3)}abc`) {
    for (const socket of sockets) socket.write(byte);
    await sleep(1);
  }
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['3']));
});

it('counts all connections, and survives resets while they wait', async () => {
  const count = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_, connections) => resolve(connections)));
  const sockets = Array.from({ length: 100 }, opened);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets.slice(0, 50)) socket.write('POST');
  for (const socket of sockets) socket.resetAndDestroy();
  while ((await count()) > 0) await sleep(5);
  const socket = opened();
  socket.write(head(0));
  expect(await answerOf(socket)).toBe('0');
});

it('serves a whole burst over TLS', async () => {
  const secure = await listening(createTlsServer(tlsIdentity('first'), countBytes));
  const answers = Array.from({ length: 60 }, (_, i) => {
    const socket = connectTls({ port: portOf(secure), host: '127.0.0.1', rejectUnauthorized: false });
    socket.write(head(i * 1000) + 'x'.repeat(i * 1000));
    return answerOf(socket);
  });
  expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `${i * 1000}`));
  secure.close().closeAllConnections();
});
