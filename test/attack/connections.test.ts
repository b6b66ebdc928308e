// Connections that occupy slots without an admitted request, at a gateway with 100 slots.

import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { burst, failed } from '../fault/fault-client.ts';
import { getText } from '../fault/processes.ts';
import { size } from './attack-size.ts';
import { AttackSockets } from './attack-sockets.ts';
import { type Attacked, expectEnds, expectServed, finish, startAttacked } from './attacked.ts';

const connectionsMax = 100;
/** A connection of this age is closed for one of the same address. */
const graceMs = 1000;

const lines = (...text: readonly string[]): string => `${text.join('\r\n')}\r\n\r\n`;
const post = (...headers: readonly string[]): string => lines('POST /v1/completions HTTP/1.1', 'host: x', ...headers);
const get = (path: string): string => lines(`GET ${path} HTTP/1.1`, 'host: x');

/** Sends the text repeatedly until the socket is closed. */
function repeat(socket: Socket, text: string, intervalMs: number): void {
  const timer = setInterval(() => socket.write(text), intervalMs);
  socket.on('close', () => clearInterval(timer));
}

const attacks: Readonly<Record<string, (socket: Socket) => void>> = {
  'say nothing': () => undefined,
  'send a head in single bytes': (socket) => {
    socket.write('POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-a: ');
    repeat(socket, 'a', 100);
  },
  'send a body in single bytes': (socket) => {
    socket.write(post('content-length: 1000000'));
    repeat(socket, '{', 100);
  },
  'send a body in single bytes of chunks': (socket) => {
    socket.write(post('transfer-encoding: chunked'));
    repeat(socket, '1\r\nx\r\n', 100);
  },
  'expect 100-continue, and send nothing then': (socket) =>
    socket.write(post('content-length: 1000', 'expect: 100-continue')),
  'ask for the health, and stay': (socket) => socket.write(get('/health')),
  'ask for the health, again and again': (socket) => repeat(socket, get('/health'), 100),
  'pipeline, and read nothing': (socket) => {
    socket.pause();
    socket.write(get('/health').repeat(1000));
  },
  'want another protocol': (socket) =>
    socket.write(lines('GET /health HTTP/1.1', 'host: x', 'connection: upgrade', 'upgrade: websocket')),
  'want a tunnel': (socket) => socket.write(lines('CONNECT 127.0.0.1:22 HTTP/1.1', 'host: x')),
  'speak no HTTP, and stay': (socket) => socket.write('\x16\x03\x01\r\n\r\n'),
  'send chunks with extensions': (socket) => {
    socket.write(post('transfer-encoding: chunked'));
    repeat(socket, `1;${'x'.repeat(4000)}\r\nx\r\n`, 100);
  },
  'send trailers': (socket) => {
    socket.write(`${post('transfer-encoding: chunked')}2\r\n{}\r\n0\r\n`);
    repeat(socket, 'x-a: b\r\n', 100);
  },
  'send endless headers': (socket) => {
    socket.write('GET / HTTP/1.1\r\n');
    repeat(socket, `x-a: ${'b'.repeat(1000)}\r\n`, 50);
  },
};

const keys = { KVOYANT_API_KEYS: 'honest:an-honest-client-0001' };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('when all connection slots are taken', () => {
  let attacked: Attacked;
  beforeAll(async () => {
    attacked = await startAttacked({ flags: ['--connections-max', `${connectionsMax}`] });
  });
  afterAll(() => finish(attacked, 'all places taken'));
  const sockets = new AttackSockets(() => attacked.gateway);
  afterEach(() => sockets.closeAll());

  const some = Object.entries(attacks).filter((_, i) => i % size(1, 5) === 0);
  it.each(some)(
    'by connections that %s: serves a second client of the same address, then and later',
    async (_, attack) => {
      for (const socket of await sockets.open(connectionsMax)) attack(socket);
      await sleep(1.2 * graceMs);
      await expectServed(attacked);
      sockets.closeAll();
      await expectServed(attacked);
    },
  );

  it('by one address: serves a client of another address at once', async () => {
    await sockets.open(connectionsMax, '127.0.0.2');
    await expectServed(attacked);
  });

  it('by connections that reconnect as soon as they are closed: serves others', async () => {
    let stopped = false;
    const again = async (): Promise<void> => {
      while (!stopped) {
        const [socket] = await sockets.open(1, '127.0.0.2');
        await Promise.race([new Promise((resolve) => socket!.once('close', resolve)), sleep(200)]);
        socket!.destroy();
      }
    };
    const attackers = Array.from({ length: size(300, 120) }, again);
    await sleep(500);
    for (let i = 0; i < 5; i++) await expectServed(attacked);
    stopped = true;
    await Promise.all(attackers);
  });
});

it('serves a whole burst of one address beside any number of silent connections', async () => {
  const attacked = await startAttacked();
  const sockets = new AttackSockets(() => attacked.gateway);
  await sockets.open(size(2000, 200));
  expect(failed(await burst(attacked.gateway.url, size(1024, 100), 3, 7))).toEqual([]);
  sockets.closeAll();
  await finish(attacked, 'a burst beside silent connections');
});

it('closes connections whose requests have no key to make room', async () => {
  const attacked = await startAttacked({
    flags: ['--connections-max', `${connectionsMax}`],
    environment: keys,
  });
  const sockets = new AttackSockets(() => attacked.gateway);
  const refused = await sockets.open(connectionsMax);
  for (const socket of refused) socket.write(get('/v1/models'));
  await sleep(1.2 * graceMs);
  const [honest] = await sockets.open(1);
  const answer = new Promise((resolve) => honest!.once('data', (data) => resolve(data.toString('latin1'))));
  honest!.write(lines('GET /v1/models HTTP/1.1', 'host: x', 'authorization: Bearer an-honest-client-0001'));
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
  sockets.closeAll();
  await finish(attacked, 'requests without a key');
});

it('ends on SIGTERM whatever connections are open', async () => {
  const attacked = await startAttacked({ flags: ['--connections-max', '1000'] });
  const sockets = new AttackSockets(() => attacked.gateway);
  for (const attack of Object.values(attacks)) for (const socket of await sockets.open(size(50, 5))) attack(socket);
  await eventually(async () => (await getText(`${attacked.gateway.url}/health`)) !== '');
  await expectEnds(attacked.gateway, [0, 3]);
  sockets.closeAll();
  await attacked.engines.reduce<Promise<void>>((before, engine) => before.then(() => engine.end()), Promise.resolve());
});
