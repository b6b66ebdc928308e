// Connections that hold a place and send no request that is worth one.

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, it } from 'vitest';
import { type Attacked, expectServed, finish, startAttacked } from './attacked.ts';

let attacked: Attacked;
beforeAll(async () => {
  attacked = await startAttacked({ flags: ['--connections-max', '100'] });
});
afterAll(() => finish(attacked, 'connections'));

function open(): Socket {
  return connect({ port: Number(attacked.gateway.port), host: '127.0.0.1' }).on('error', () => undefined);
}

it('serves another client after connections that say nothing have gone', async () => {
  const sockets = Array.from({ length: 90 }, open);
  for (const socket of sockets) socket.destroy();
  await expectServed(attacked);
});
