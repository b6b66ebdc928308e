// Reservations have memory of their own: little for each, and none of that of requests and of deletions.

import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { reservationBytes } from '../../src/gateway/selection/reservation.ts';
import { atRest, eventually, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const isl = 7000;
const blockSize = 16;

/** Token ids that no other reservation has, as base64. */
function tokensOf(seed: number): string {
  return Buffer.from(Uint32Array.from({ length: isl }, (_, i) => seed * 10_007 + i).buffer).toString('base64');
}

function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

interface Result {
  readonly status: number;
  readonly body: { readonly error?: { readonly code: string } };
}

async function batch(gateway: Gateway, operations: readonly object[], headers = {}): Promise<Result[]> {
  const body = JSON.stringify({ operations });
  const response = await fetch(`${gateway.url}/batch`, { method: 'POST', body, headers });
  expect(response.status).toBe(200);
  return ((await response.json()) as { results: Result[] }).results;
}

async function gauge(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line!.slice(name.length + 1));
}

const reserve = (seed: number): object => ({ op: 'reserve', id: `r${seed}`, tokens: tokensOf(seed) });
const remove = (seed: number): object => ({ op: 'delete', id: `r${seed}`, outcome: 'aborted' });

it('keeps no token ids of a reservation, and about as much memory as it counts', async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url], selection: true, queue: false, decisionsMax: 0 });
  const reserveAll = async (from: number, to: number): Promise<void> => {
    for (let seed = from; seed < to; seed++) {
      expect((await batch(gateway, [reserve(seed)]))[0]).toMatchObject({ status: 200 });
    }
  };
  await reserveAll(0, 50);
  const before = usedBytes();
  await reserveAll(50, 450);
  const bytes = (usedBytes() - before) / 400;
  // The ids would take 28 KB.
  expect(bytes).toBeLessThan(isl * 4);
  expect(await gauge(gateway, 'kvoyant_reservation_bytes')).toBe(450 * reservationBytes(isl, blockSize, 1));
  for (let seed = 0; seed < 450; seed++) await batch(gateway, [remove(seed)]);
  await atRest(gateway);
  expect(await gauge(gateway, 'kvoyant_reservation_bytes')).toBe(0);
});

const listed = (seed: number): object => ({
  ...{ id: `w${seed}`, tokens: Array.from({ length: isl }, (_, i) => 100_000 + seed * 10_007 + i) },
});

describe('a reservation that waits for a worker', () => {
  const seeds = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

  /** Sends a request and keeps nothing of it: its memory would be measured too. @returns the answer's bytes, at its end */
  function sending(gateway: Gateway, path: string, body: string): Promise<string> {
    const { hostname, port } = new URL(gateway.url);
    const head = `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const socket = connect(Number(port), hostname);
    socket.write(head + body);
    return answerOf(socket);
  }

  async function answerOf(socket: Socket): Promise<string> {
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  }

  const ways: readonly [name: string, send: (gateway: Gateway, from: number, to: number) => Promise<string[]>][] = [
    [
      'by itself',
      (gateway, from, to) =>
        Promise.all(seeds(from, to).map((seed) => sending(gateway, '/reserve', JSON.stringify(listed(seed))))),
    ],
    [
      'in a batch',
      (gateway, from, to) => {
        const operations = seeds(from, to).map((seed) => ({ op: 'reserve', ...listed(seed) }));
        return Promise.all([sending(gateway, '/batch', JSON.stringify({ operations }))]);
      },
    ],
    [
      'on a connection',
      (gateway, from, to) => {
        const lines = seeds(from, to).map((seed) => `${JSON.stringify({ op: 'reserve', ...listed(seed) })}\n`);
        return Promise.all([sending(gateway, '/connection', lines.join(''))]);
      },
    ],
  ];

  it.each(ways)('%s keeps no body', async (_, send) => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({
      ...{ workers: [{ url: engine.url, runningRequestsMax: 1 }], selection: true, decisionsMax: 0 },
    });
    expect((await post(gateway, '/reserve', { id: 'first', tokens: [1, 2, 3] })).status).toBe(200);
    const heldBytes = () => gauge(gateway, 'kvoyant_request_body_bytes');
    // The token ids remain, in case that a worker with other blocks comes.
    const waiting = (count: number) =>
      eventually(async () => {
        const waits = await gauge(gateway, 'kvoyant_reservations{state="waiting"}');
        return waits === count && (await heldBytes()) === count * isl * 4;
      }, 60_000);
    const answers = [send(gateway, 0, 20)];
    await waiting(20);
    const before = usedBytes();
    answers.push(send(gateway, 20, 100));
    await waiting(100);
    const bytes = (usedBytes() - before) / 80;
    // Token ids, hashes, and the two ends of its connection: 38 to 64 KB. With its body it would be twice as much.
    expect(bytes).toBeLessThan(isl * 4 * 3.5);
    for (const seed of seeds(0, 100)) await fetch(`${gateway.url}/reservations/w${seed}`, { method: 'DELETE' });
    const texts = (await Promise.all(answers)).flat().join('');
    expect(texts.match(/"code":"reservation_deleted"/g)).toHaveLength(100);
    expect((await fetch(`${gateway.url}/reservations/first`, { method: 'DELETE' })).status).toBe(200);
    await atRest(gateway);
    expect(await heldBytes()).toBe(0);
  });
});

it('refuses what its memory does not take, and leaves requests and deletions theirs', async () => {
  const engine = await harness.engine();
  const each = reservationBytes(isl, blockSize, 1);
  const gateway = await harness.gateway({
    ...{ workers: [engine.url], selection: true, queue: false, reservationsBytesMax: 10 * each + 1 },
    // The least that is possible: what a reservation took of it would be missed at once.
    ...{ bodyBytesMax: 65_536, bodiesBytesMax: 16 * 65_536 },
  });
  for (let seed = 0; seed < 10; seed++) expect(await batch(gateway, [reserve(seed)])).toMatchObject([{ status: 200 }]);
  const code = 'reservations_too_large_together';
  expect(await batch(gateway, [reserve(10)])).toMatchObject([{ status: 429, body: { error: { code } } }]);
  expect((await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x'.repeat(20_000) })).status).toBe(200);
  expect(await batch(gateway, [remove(0), remove(10), remove(1)])).toMatchObject([
    ...[{ status: 200 }, { status: 200 }, { status: 200 }],
  ]);
  // The deletion of the one that was refused came early: it counts once.
  expect(await batch(gateway, [reserve(10)])).toMatchObject([{ status: 410 }]);
  expect(await batch(gateway, [reserve(10)])).toMatchObject([{ status: 200 }]);
  const deletions = Array.from({ length: 9 }, (_, i) => remove(i + 2));
  expect(new Set((await batch(gateway, deletions)).map(({ status }) => status))).toEqual(new Set([200]));
  const huge = { op: 'reserve', blockHashes: { 16: Buffer.alloc(8 * 5500).toString('base64') }, isl: 88_000 };
  expect(await batch(gateway, [huge])).toMatchObject([
    { status: 413, body: { error: { code: 'reservation_too_large' } } },
  ]);
  await atRest(gateway);
});

it('lets no key take all of it', async () => {
  const engine = await harness.engine();
  const each = reservationBytes(isl, blockSize, 1);
  const secret = (name: string): string => `secret-of-${name}`.padEnd(32, '0');
  const apiKeys = ['a', 'b'].map((name) => ({ name, key: secret(name), selection: true }));
  const gateway = await harness.gateway({
    ...{ workers: [engine.url], selection: true, queue: false, apiKeys, reservationsMax: 9 },
    reservationsBytesMax: 9 * each,
  });
  const as = (name: string) => ({ authorization: `Bearer ${secret(name)}` });
  const flood = async (name: string, operation: (seed: number) => object): Promise<number> => {
    const results = await batch(
      gateway,
      Array.from({ length: 10 }, (_, seed) => operation(seed)),
      as(name),
    );
    return results.filter(({ status }) => status === 200).length;
  };
  expect([await flood('a', reserve), await flood('b', reserve)]).toEqual([6, 2]);
  expect([await flood('a', remove), await flood('b', remove)]).toEqual([10, 10]);
  // Nor of their number.
  const short = (seed: number): object => ({ op: 'reserve', id: `s${seed}`, tokens: [1, 2, 3] });
  const end = (seed: number): object => ({ op: 'delete', id: `s${seed}` });
  expect([await flood('a', short), await flood('b', short)]).toEqual([6, 2]);
  expect([await flood('a', end), await flood('b', end)]).toEqual([10, 10]);
  await atRest(gateway);
});

it('leaves all of it to the only key that may use it', async () => {
  const engine = await harness.engine();
  const each = reservationBytes(isl, blockSize, 1);
  const secret = (name: string): string => `secret-of-${name}`.padEnd(32, '0');
  const apiKeys = [
    { name: 'proxy', key: secret('proxy'), selection: true },
    { name: 'user', key: secret('user') },
  ];
  const options = { workers: [engine.url], selection: true, queue: false, reservationsMax: 9 };
  const gateway = await harness.gateway({ ...options, apiKeys, reservationsBytesMax: 9 * each });
  const headers = { authorization: `Bearer ${secret('proxy')}` };
  const flood = async (operation: (seed: number) => object): Promise<number> => {
    const operations = Array.from({ length: 10 }, (_, seed) => operation(seed));
    return (await batch(gateway, operations, headers)).filter(({ status }) => status === 200).length;
  };
  expect(await flood(reserve)).toBe(9);
  expect(await flood(remove)).toBe(10);
  await atRest(gateway);
});
