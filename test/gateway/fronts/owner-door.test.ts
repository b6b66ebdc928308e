import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OwnerDoor } from '../../../src/gateway/fronts/owner-door.ts';
import { sendBytes } from '../../e2e/raw-request.ts';
import { TemporaryFolder } from '../temporary-folder.ts';

let folder: TemporaryFolder;
let owner: NetServer;
let front: Server;
let door: OwnerDoor;
/** What the owner got, over all connections. */
let received = '';

beforeEach(async () => {
  received = '';
  folder = new TemporaryFolder();
  const path = join(folder.path, 'owner.sock');
  owner = createNetServer((socket) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      if (received.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => owner.listen(path, resolve));
  door = new OwnerDoor(path);
  // Node's default: it ignores headers beyond the first thousand, and with them the length of the body.
  front = createServer((request, response) => void door.pass(request, response, request.rawHeaders, null, null));
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  front.close();
  front.closeAllConnections();
  door.close();
  owner.close();
  folder.remove();
});

it.each(['GET', 'DELETE', 'POST'])('never passes what could be the next request: %s', async (method) => {
  const hidden = 'GET /hidden HTTP/1.1\r\nx-kvoyant-proven-name: YWRtaW4\r\n\r\n';
  const head = `${method} /first HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(1100)}content-length: ${hidden.length}\r\n\r\n`;
  const next = 'GET /second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
  const { port } = front.address() as AddressInfo;
  const answers = await sendBytes({ url: `http://127.0.0.1:${port}` }, head + hidden + next);
  expect(answers.match(/HTTP\/1.1 200/g)).toHaveLength(2);
  expect(received).toContain('/second');
  expect(received).not.toContain('/hidden');
});
