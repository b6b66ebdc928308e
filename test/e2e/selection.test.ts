// The selection service over real HTTP: choices, reservations, leases, batches, connections, access.

import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { eventually, Harness } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

const tokens = Array.from({ length: 100 }, (_, i) => i + 7);
const base64 = Buffer.from(Uint32Array.from(tokens).buffer).toString('base64');

interface Called {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: any answer
  readonly body: any;
}

async function call(gateway: Gateway, method: string, path: string, body?: unknown, headers = {}): Promise<Called> {
  const response = await fetch(gateway.url + path, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

async function started(options = {}, engineCount = 2): Promise<Gateway> {
  const engines = await harness.engines(engineCount);
  return harness.gateway({ workers: engines.map(({ url }) => url), selection: true, ...options });
}

const live = (gateway: Gateway): number => gateway.router('fake')!.liveBookings;

describe('a reservation', () => {
  it('books at once, decodes, and ends by its deletion, each idempotent', async () => {
    const gateway = await started();
    const chosen = await call(gateway, 'POST', '/select', { tokens });
    expect(chosen).toMatchObject({ status: 200, body: { isl: 100, overlapTokens: 0, model: 'fake' } });
    expect(chosen.body.candidates).toHaveLength(2);
    expect(live(gateway)).toBe(0);
    const made = await call(gateway, 'POST', '/reserve', { tokens: base64, id: 'a', max_tokens: 10 });
    expect(made).toMatchObject({ status: 200, body: { id: 'a', isl: 100, rank: 0, leaseS: 600 } });
    expect(made.body.worker).toBe(`${made.body.url}#0`);
    expect(live(gateway)).toBe(1);
    expect(await call(gateway, 'POST', '/reserve', { tokens, id: 'a' })).toMatchObject({
      status: 409,
      body: { error: { code: 'reservation_exists', param: 'id' } },
    });
    for (let i = 0; i < 2; i++) {
      expect(await call(gateway, 'POST', '/reservations/a/first-token')).toMatchObject({ body: { state: 'decode' } });
      expect(await call(gateway, 'POST', '/reservations/a/output', { tokens: 20 })).toMatchObject({
        status: 200,
        body: { outputTokens: [20] },
      });
    }
    expect(
      gateway
        .router('fake')!
        .loads()
        .reduce((sum, load) => sum + load.activeBlocks, 0),
    ).toBe(8);
    expect((await call(gateway, 'DELETE', '/reservations/a')).body).toEqual({ id: 'a', deleted: 'now' });
    expect((await call(gateway, 'DELETE', '/reservations/a')).body).toEqual({ id: 'a', deleted: 'before' });
    expect(live(gateway)).toBe(0);
    expect(await call(gateway, 'POST', '/reservations/a/first-token')).toMatchObject({
      status: 410,
      body: { error: { code: 'reservation_released' } },
    });
  });

  it('is refused once if its deletion came first', async () => {
    const gateway = await started();
    expect((await call(gateway, 'DELETE', '/reservations/b')).body).toEqual({ id: 'b', deleted: 'early' });
    expect((await call(gateway, 'POST', '/reserve', { tokens, id: 'b' })).status).toBe(410);
    expect(live(gateway)).toBe(0);
    expect((await call(gateway, 'POST', '/reserve', { tokens, id: 'b' })).status).toBe(200);
    await call(gateway, 'DELETE', '/reservations/b');
  });

  it('leaks without calls, and the counter shows it', async () => {
    const gateway = await started();
    expect((await call(gateway, 'POST', '/reserve', { tokens, id: 'c', leaseS: 0.05 })).status).toBe(200);
    await eventually(() => live(gateway) === 0);
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toContain('kvoyant_reservations_ended_total{end="leaked"} 1');
    expect((await call(gateway, 'GET', '/reservations/c')).body.error.code).toBe('reservation_leaked');
  });
});

it('a batch runs operations in their order, each with its own status', async () => {
  const gateway = await started();
  const operations = [
    { op: 'reserve', id: 'x', tokens },
    { op: 'first-token', id: 'x' },
    { op: 'nonsense' },
    { op: 'delete', id: 'x', outcome: 'nonsense' },
  ];
  const { body } = await call(gateway, 'POST', '/batch', { operations });
  expect(body.results.map((result: Called) => result.status)).toEqual([200, 200, 400, 400]);
  expect((await call(gateway, 'DELETE', '/reservations/x?outcome=aborted')).body.deleted).toBe('now');
});

it('a batch ends a reservation only after it was made, however long that takes', async () => {
  const engine = (await harness.engines(1))[0]!;
  const workers = [{ url: engine.url, runningRequestsMax: 1 }];
  const gateway = await harness.gateway({ workers, selection: true, queue: true });
  await call(gateway, 'POST', '/reserve', { tokens, id: 'first' });
  const operations = [
    { op: 'reserve', id: 'x', tokens },
    { op: 'delete', id: 'x' },
    { op: 'show', id: 'x' },
  ];
  const batch = call(gateway, 'POST', '/batch', { operations });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await call(gateway, 'DELETE', '/reservations/first');
  const { body } = await batch;
  expect(body.results.map((result: Called) => result.status)).toEqual([200, 200, 410]);
  expect(body.results[1].body.deleted).toBe('now');
  expect(live(gateway)).toBe(0);
});

it('a closed connection releases what it holds', async () => {
  const gateway = await started();
  const { hostname, port } = new URL(gateway.url);
  const socket: Socket = connect(Number(port), hostname);
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  const send = (line: string): boolean => socket.write(`${line.length.toString(16)}\r\n${line}\r\n`);
  socket.write(`POST /connection HTTP/1.1\r\nhost: ${hostname}\r\ntransfer-encoding: chunked\r\n\r\n`);
  send(`${JSON.stringify({ op: 'reserve', tag: 1, id: 'l', tokens })}\n{"op":"first-token","id":"l","tag":2}\n{"half`);
  await eventually(() => /"tag":1,"status":200/.test(received) && /"tag":2,"status":200/.test(received));
  expect(live(gateway)).toBe(1);
  socket.destroy();
  await eventually(() => live(gateway) === 0);
});

it('reserves nothing for a connection that closes while a long line is read', async () => {
  const gateway = await started();
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname)
    .on('error', () => undefined)
    .resume();
  // Long enough to be parsed over many turns of the event loop.
  const line = `${JSON.stringify({ op: 'reserve', id: 'late', tokens: Array.from({ length: 400_000 }, (_, i) => i) })}\n`;
  const head = 'POST /connection HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
  socket.write(`${head}${line.length.toString(16)}\r\n${line}\r\n`);
  const counted = async (): Promise<string> => (await fetch(`${gateway.adminUrl}/metrics`)).text();
  await eventually(async () => (await counted()).includes('kvoyant_request_body_bytes 0') === false);
  socket.destroy();
  await eventually(async () => (await counted()).includes('kvoyant_selection_operations_total{operation="reserve"'));
  expect(live(gateway)).toBe(0);
  expect((await call(gateway, 'GET', '/reservations/late')).status).toBe(404);
});

it('ends the reservations of a worker that is removed', async () => {
  const engines = await harness.engines(2);
  const gateway = await harness.gateway({
    ...{ workers: engines.map(({ url }) => url), selection: true, workerDrainMsMax: 50 },
  });
  const excluded = [`${engines[1]!.url}#0`];
  for (let i = 0; i < 600; i += 100) {
    const operations = Array.from({ length: 100 }, (_, j) => ({ op: 'reserve', id: `r${i + j}`, tokens, excluded }));
    expect((await call(gateway, 'POST', '/batch', { operations })).status).toBe(200);
  }
  expect(live(gateway)).toBe(600);
  const removed = await fetch(`${gateway.adminUrl}/workers/${encodeURIComponent(engines[0]!.url)}`, {
    method: 'DELETE',
  });
  expect(removed.status).toBeLessThan(300);
  await eventually(() => live(gateway) === 0);
  expect(await call(gateway, 'POST', '/reservations/r7/first-token')).toMatchObject({
    status: 410,
    body: { error: { code: 'reservation_worker_removed' } },
  });
  expect((await call(gateway, 'DELETE', '/reservations/r599')).body.deleted).toBe('before');
});

it('needs a key with the right once there are keys', async () => {
  const key = (name: string) => `${name}-secret-00000000001`;
  const apiKeys = [`user:${key('user')}`, { name: 'proxy', key: key('proxy'), selection: true }];
  const gateway = await started({ apiKeys });
  const as = (name: string) => call(gateway, 'POST', '/select', { tokens }, { authorization: `Bearer ${key(name)}` });
  expect((await call(gateway, 'POST', '/select', { tokens })).status).toBe(401);
  expect((await as('user')).status).toBe(403);
  expect((await as('proxy')).status).toBe(200);
});
