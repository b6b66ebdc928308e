// TLS connections that never send a request, at a gateway with 100 slots.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { tlsSettings } from '../e2e/tls-files.ts';
import { isFull, size } from './attack-size.ts';
import { AttackSockets } from './attack-sockets.ts';
import { type Attacked, expectEnds, expectServed, finish, startAttacked } from './attacked.ts';

const connectionsMax = 100;
const graceMs = 1000;
/** Limit on requests and so on handshakes, for which the gateway allows at most 10 s. */
const requestMsMax = size(10_000, 2000);

const { tlsCertFile, tlsKeyFile } = tlsSettings('first');
const tlsFlags = ['--tls-cert-file', tlsCertFile, '--tls-key-file', tlsKeyFile];

let attacked: Attacked;
beforeAll(async () => {
  const limits = ['--connections-max', `${connectionsMax}`, '--request-ms-max', `${requestMsMax}`];
  attacked = await startAttacked({ flags: [...tlsFlags, ...limits] });
});
afterAll(() => finish(attacked, 'TLS'));
const sockets = new AttackSockets(() => attacked.gateway);
afterEach(() => sockets.closeAll());

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const beginnings: readonly (readonly [string, Buffer])[] = [
  ['say nothing', Buffer.alloc(0)],
  ['begin a handshake', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])],
  ['speak no TLS', Buffer.from('GET /health HTTP/1.1\r\nhost: x\r\n\r\n')],
  ['send an alert', Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28])],
];

it.each(beginnings)('with connections that %s: serves others, and frees the slots within seconds', async (_, bytes) => {
  const open = await sockets.open(connectionsMax);
  for (const socket of open) if (bytes.length > 0) socket.write(bytes);
  await sleep(1.2 * graceMs);
  await expectServed(attacked);
  // The attackers keep their connections open; the gateway closes them.
  await eventually(() => attacked.gateway.clientSocketCount() === 0, 5 * requestMsMax);
  await expectServed(attacked);
});

it('closes connections that complete the handshake and then send nothing', async () => {
  await sockets.openTls(connectionsMax);
  await sleep(1.2 * graceMs);
  await expectServed(attacked);
});

it('ends on SIGTERM during handshakes', async () => {
  const other = await startAttacked({ flags: tlsFlags });
  const others = new AttackSockets(() => other.gateway);
  for (const [, bytes] of beginnings) {
    for (const socket of await others.open(size(50, 5))) if (bytes.length > 0) socket.write(bytes);
  }
  await others.openTls(size(50, 5));
  await expectEnds(other.gateway);
  others.closeAll();
  await Promise.all(other.engines.map((engine) => engine.end()));
});

it.runIf(isFull)('uses little memory for thousands of unfinished handshakes', async () => {
  const other = await startAttacked({ flags: tlsFlags });
  const others = new AttackSockets(() => other.gateway);
  for (let i = 0; i < 8; i++) {
    for (const socket of await others.open(500)) socket.write(beginnings[1]![1]);
  }
  await expectServed(other);
  expect(other.gateway.clientSocketCount()).toBeGreaterThan(3000);
  others.closeAll();
  await finish(other, 'thousands of handshakes');
});
