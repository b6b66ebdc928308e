// Bodies that are large, many, sent in single bytes, pipelined, or JSON that takes much memory per byte.

import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { getText, script } from '../fault/processes.ts';
import { size } from './attack-size.ts';
import { type Attacked, expectServed, finish, startAttacked } from './attacked.ts';

const mib = 1024 * 1024;
const bodyBytes = size(30, 4) * mib;

let attacked: Attacked;
beforeAll(async () => {
  attacked = await startAttacked({
    // The small suite keeps the proportion of budget and body.
    flags: size(1, 0) === 1 ? [] : ['--body-bytes-max', `${4 * mib}`, '--bodies-bytes-max', `${24 * mib}`],
  });
});
afterAll(() => finish(attacked, 'bodies'));
afterEach(() => close(opened.splice(0)));

const opened: Client[] = [];

interface Client {
  readonly socket: Socket;
  /** Everything received so far. */
  text(): string;
}

function open(): Client {
  let text = '';
  const socket = connect({ port: Number(attacked.gateway.port), host: '127.0.0.1' }).setMaxListeners(0);
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
  });
  const client = { socket, text: () => text };
  opened.push(client);
  return client;
}

const head = (...headers: readonly string[]): string =>
  ['POST /v1/completions HTTP/1.1', 'host: x', 'content-type: application/json', ...headers, '\r\n'].join('\r\n');

const statusesOf = (clients: readonly Client[]): string[] =>
  clients.map((client) => /^HTTP\/1\.1 (\d{3})/.exec(client.text())?.[1] ?? 'none');

async function heldBytes(): Promise<number> {
  const text = await getText(`${attacked.gateway.adminUrl}/metrics`);
  return Number(/^kvoyant_request_body_bytes (\d+)$/m.exec(text)![1]);
}

function write(socket: Socket, data: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else if (socket.write(data)) setImmediate(resolve);
    else socket.once('drain', resolve).once('close', () => resolve());
  });
}

function close(clients: readonly Client[]): Promise<void> {
  for (const { socket } of clients) socket.destroy();
  return eventually(async () => (await heldBytes()) === 0, 20_000);
}

/** While `work` runs, no engine ends an answer. */
async function whileEnginesAreSlow(work: () => Promise<void>): Promise<void> {
  const all = (ways: object): Promise<unknown> => Promise.all(attacked.engines.map((engine) => script(engine, ways)));
  await all({ kind: 'stream', firstTokenMs: 60_000, tokens: 1, gapMs: 1 });
  await work();
  await all({ kind: 'stream', firstTokenMs: 0, tokens: 3, gapMs: 1 });
}

it('answers 503 with retry-after to many large bodies, and keeps room for small ones', async () => {
  const prompt = JSON.stringify({ model: 'scripted', stream: true, prompt: 'x'.repeat(bodyBytes - 1000) });
  const clients = Array.from({ length: size(30, 12) }, open);
  // Without its last byte each body is held, and none is parsed.
  const part = Buffer.from(prompt.slice(0, -1));
  await Promise.all(clients.map(({ socket }) => write(socket, head(`content-length: ${prompt.length}`))));
  await Promise.all(clients.map(({ socket }) => write(socket, part)));
  await eventually(() => statusesOf(clients).filter((status) => status === '503').length >= clients.length / 4, 30_000);
  const refused = clients.find((client) => client.text().startsWith('HTTP/1.1 503'))!;
  expect(refused.text()).toMatch(/\r\nretry-after: 1\r\n/i);
  expect(refused.text()).toContain('bodies_too_large_together');
  await expectServed(attacked);
});

it('closes connections whose bodies arrive in single bytes', async () => {
  const clients = Array.from({ length: size(100, 20) }, open);
  const chunks = '1\r\nx\r\n'.repeat(10_000);
  await Promise.all(
    clients.map(async ({ socket }) => {
      await write(socket, head('transfer-encoding: chunked'));
      for (let i = 0; i < 100 && !socket.destroyed; i++) await write(socket, chunks);
    }),
  );
  await eventually(() => clients.every(({ socket }) => socket.destroyed), 30_000);
  await expectServed(attacked);
});

it('serves large bodies pipelined on one connection within the memory limit', async () => {
  await whileEnginesAreSlow(async () => {
    const body = JSON.stringify({ model: 'scripted', stream: true, prompt: 'x'.repeat(bodyBytes / 2) });
    const client = open();
    let peakBytes = 0;
    for (let i = 0; i < size(24, 6); i++) {
      await write(client.socket, head(`content-length: ${body.length}`) + body);
      peakBytes = Math.max(peakBytes, await heldBytes());
    }
    await eventually(async () => (await heldBytes()) > body.length, 30_000);
    expect(Math.max(peakBytes, await heldBytes())).toBeLessThan(2.5 * body.length);
    // The gateway notices that the client leaves, whatever it has sent.
    await close([client]);
  });
  await expectServed(attacked);
});

for (const [what, item, bytes] of [
  ['objects', '{}', 3],
  ['token ids', '1', 2],
  ['short texts', '"ab"', 5],
] as const) {
  const jsonOf = (count: number): string => {
    const list = `[${`${item},`.repeat(count)}${item}]`;
    const [prompt, tools] = what === 'token ids' ? [list, '[]'] : ['"x"', list];
    return `{"model":"scripted","stream":true,"prompt":${prompt},"tools":${tools}}`;
  };

  it(`limits JSON of nothing but ${what}: refuses too many, and serves as many as allowed`, async () => {
    await whileEnginesAreSlow(async () => {
      const tooMany = jsonOf(bodyBytes / bytes - 100);
      const refused = Array.from({ length: size(8, 2) }, open);
      await Promise.all(
        refused.map(({ socket }) => write(socket, head(`content-length: ${tooMany.length}`) + tooMany)),
      );
      await eventually(() => statusesOf(refused).every((status) => ['413', '503'].includes(status)), 60_000);
      expect(statusesOf(refused)).toContain('413');
      const many = jsonOf(what === 'objects' ? size(150_000, 50_000) : 300_000);
      const held = Array.from({ length: size(60, 6) }, open);
      await Promise.all(held.map(({ socket }) => write(socket, head(`content-length: ${many.length}`) + many)));
      await eventually(() => statusesOf(held).includes('503'), 60_000);
      await close([...refused, ...held]);
    });
    await expectServed(attacked);
  });
}
