// A process that may open no more files: its engines are not to blame.

import { syncBuiltinESMExports } from 'node:module';
import net, { Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

const harness = new Harness();
const { connect } = net;
let refused = 0;

/** Each new connection to these ports fails as it does without a file descriptor. */
function exhaust(ports: readonly number[]): void {
  net.connect = ((...args: Parameters<typeof connect>) => {
    const [options] = args as unknown as [{ readonly port?: number }];
    if (!ports.includes(options.port ?? 0)) return connect(...args);
    const socket = Object.assign(new Socket(), { connecting: true });
    const error = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE', syscall: 'connect' });
    setImmediate(() => socket.destroy(error));
    refused += 1;
    return socket;
  }) as typeof net.connect;
  syncBuiltinESMExports();
}

function restore(): void {
  net.connect = connect;
  syncBuiltinESMExports();
}

afterEach(async () => {
  restore();
  await harness.end();
});

it('is told to the client, and the engines stay in use', async () => {
  const engines = await harness.engines(2);
  // Nothing is left to reuse.
  for (const engine of engines) {
    engine.behaviour = ({ response }) => response.setHeader('connection', 'close').end('{}');
    engine.health = (response) => response.setHeader('connection', 'close').end();
  }
  const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) }, 2);
  const states = async (): Promise<string[]> => {
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { state: string }[] };
    return workers.map(({ state }) => state);
  };
  await eventually(async () => {
    for (let i = 0; i < 4; i++) await post(gateway, '/v1/chat/completions', chatBody);
    exhaust(engines.map(({ port }) => port));
    const { status } = await post(gateway, '/v1/chat/completions', chatBody);
    if (status === 503) return true;
    // A connection of a probe was left.
    restore();
    return false;
  }, 20_000);
  const { body, headers } = await post(gateway, '/v1/chat/completions', chatBody);
  expect([JSON.parse(body).error.code, headers['retry-after']]).toEqual(['no_open_files', '1']);
  // Several rounds of probes.
  const before = refused;
  await eventually(() => refused >= before + 6, 30_000);
  expect(await states()).toEqual(['ready', 'ready']);
  restore();
  expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(200);
  await atRest(gateway);
});
