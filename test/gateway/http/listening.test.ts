// Closing a listener loses no client that the system has connected already.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { acceptWaiting } from '../../../src/gateway/http/listening.ts';

function received(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    socket.on('error', reject).on('end', () => resolve(text));
  });
}

it('accepts the connections that wait before it is closed', async () => {
  const server = createServer((socket) => socket.end('served'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const answers = Array.from({ length: 20 }, () => received(port));
  await new Promise((resolve) => process.nextTick(resolve));
  // Meanwhile the system connects them, and the server can't accept them.
  const untilMs = performance.now() + 100;
  while (performance.now() < untilMs);
  await acceptWaiting(server);
  server.close();
  expect(await Promise.all(answers)).toEqual(new Array(20).fill('served'));
});
