// Callers of the selection service that hold, flood, send nonsense, and never read.

import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { getText } from '../fault/processes.ts';
import { isFull, size } from './attack-size.ts';
import { type Attacked, expectServed, finish, startAttacked } from './attacked.ts';

const reservationsMax = size(20_000, 400);
const perConnectionMax = size(1000, 50);
/** @param seed prompts of different ones have no block in common */
const tokensOf = (count: number, seed = 0): string =>
  Buffer.from(Uint32Array.from({ length: count }, (_, i) => seed * 10_007 + i).buffer).toString('base64');
const tokens = tokensOf(7000);
/** Reservations of long prompts would reach the limit of memory before that of their number. */
const fewTokens = tokensOf(100);
/** Of any size: small, the limit of memory allows 250 reservations of long prompts. */
const memoryFlags = isFull ? [] : ['--reservations-bytes-max', '3300000'];

let attacked: Attacked;
beforeAll(async () => {
  attacked = await startAttacked({
    flags: [
      // Without the queue workers never count as full, so that the limits are reached.
      ...['--selection', '--no-queue', '--reservations-max', `${reservationsMax}`],
      ...['--reservations-per-connection-max', `${perConnectionMax}`, ...memoryFlags],
      // Time in which reservations of the flood must not leak.
      ...['--reservation-ms', '600000', '--body-bytes-max', `${8 * 1024 * 1024}`],
    ],
  });
});
afterAll(() => finish(attacked, 'selection'));
afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.destroy();
  await eventually(async () => (await reservations()) === 0, 30_000);
});

interface Line {
  readonly socket: Socket;
  text(): string;
}
const opened: Line[] = [];

/** A connection of many operations; `reads` false: its client never reads. */
function openLine(reads = true): Line {
  const socket = connect({ port: Number(attacked.gateway.port), host: '127.0.0.1' }).setMaxListeners(0);
  let text = '';
  socket.on('error', () => undefined);
  if (reads) {
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
    });
  }
  socket.write('POST /connection HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n');
  const line = { socket, text: () => text };
  opened.push(line);
  return line;
}

function send({ socket }: Line, text: string): Promise<void> {
  return new Promise((resolve) => {
    const chunk = `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
    if (socket.destroyed) resolve();
    else if (socket.write(chunk)) setImmediate(resolve);
    else socket.once('drain', resolve).once('close', () => resolve());
  });
}

async function metric(name: string): Promise<number> {
  const text = await getText(`${attacked.gateway.adminUrl}/metrics`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const reservations = (): Promise<number> => metric('kvoyant_reservations{');

function call(method: string, path: string, body = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    // Kept connections would not be closed at the end.
    const sent = request(attacked.gateway.url + path, { method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('error', reject);
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject).end(body);
  });
}

const batch = (operations: readonly object[]): Promise<{ status: number; text: string }> =>
  call('POST', '/batch', JSON.stringify({ operations }));

it('stops reading callers that do not read, and releases what they hold', async () => {
  const lines = Array.from({ length: size(50, 8) }, () => openLine(false));
  const select = `${JSON.stringify({ op: 'select', tokens })}\n`;
  await Promise.all(
    lines.map(async (line, i) => {
      await send(line, `${JSON.stringify({ op: 'reserve', id: `slow-${i}`, tokens })}\n`);
      // Far more than sockets and the gateway hold: writing stalls, so nobody waits for it.
      for (let j = 0; j < size(2000, 400); j++) void send(line, select);
    }),
  );
  await eventually(async () => (await reservations()) === lines.length, 30_000);
  await expectServed(attacked);
  const selected = await metric('kvoyant_selection_operations_total{operation="select"');
  expect(selected).toBeLessThan(lines.length * size(2000, 400));
});

it('refuses reservations beyond its limits, alone and on connections', async () => {
  const line = openLine();
  for (let i = 0; i < perConnectionMax + 10; i++) {
    await send(line, `${JSON.stringify({ op: 'reserve', id: `l-${i}`, tag: i, tokens: [1, 2, 3] })}\n`);
  }
  await eventually(() => line.text().split('"status":429').length === 11, 30_000);
  expect(line.text()).toContain('reservationsPerConnectionMax');
  expect(await reservations()).toBe(perConnectionMax);
  let refused = 0;
  for (let i = 0; i < reservationsMax / 50 + 1; i++) {
    const { text } = await batch(
      Array.from({ length: 50 }, (_, j) => ({ op: 'reserve', id: `f-${i}-${j}`, tokens: fewTokens, waitMs: 0 })),
    );
    refused += text.split('"code":"too_many_reservations"').length - 1;
  }
  expect(refused).toBe(perConnectionMax + 50);
  expect(await reservations()).toBe(reservationsMax);
  await expectServed(attacked);
  for (let i = 0; i < reservationsMax / 50 + 1; i++) {
    await batch(Array.from({ length: 50 }, (_, j) => ({ op: 'delete', id: `f-${i}-${j}`, outcome: 'aborted' })));
  }
  line.socket.destroy();
  await eventually(async () => (await reservations()) === 0, 30_000);
});

it('refuses reservations of long prompts beyond their memory, and serves requests and deletions meanwhile', async () => {
  const idsPerBatch = 50;
  const ids = (i: number): string[] => Array.from({ length: idsPerBatch }, (_, j) => `m-${i}-${j}`);
  const deleteAll = (i: number): Promise<{ status: number; text: string }> =>
    batch(ids(i).map((id) => ({ op: 'delete', id, outcome: 'aborted' })));
  let batches = 0;
  for (let isFullUp = false; !isFullUp; batches++) {
    const operations = ids(batches).map((id, j) => ({ op: 'reserve', id, tokens: tokensOf(7000, batches * 100 + j) }));
    isFullUp = (await batch(operations)).text.includes('"code":"reservations_too_large_together"');
  }
  const held = await reservations();
  expect(held).toBeLessThan(reservationsMax);
  expect(await metric('kvoyant_reservation_bytes')).toBeGreaterThan(held * 12_000);
  // As large as bodies may be that come together.
  const text = 'x'.repeat(1024 * 1024);
  const answers = await Promise.all(Array.from({ length: 4 }, () => call('POST', '/select', JSON.stringify({ text }))));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  await expectServed(attacked);
  for (let i = 0; i < batches; i++) expect((await deleteAll(i)).status).toBe(200);
  expect(await reservations()).toBe(0);
  expect(await metric('kvoyant_reservation_bytes')).toBe(0);
});

it('forgets early deletions beyond its limit', async () => {
  for (let i = 0; i < 200; i++) {
    const { status } = await batch(Array.from({ length: 100 }, (_, j) => ({ op: 'delete', id: `early-${i}-${j}` })));
    expect(status).toBe(200);
  }
  expect(await metric('kvoyant_limited_total{limit="earlyDeletesMax"}')).toBeGreaterThanOrEqual(20_000 - 16_384);
});

it('closes lines that are too long or come in single bytes, with an error', async () => {
  const long = openLine();
  for (let i = 0; i < 10; i++) await send(long, 'x'.repeat(1024 * 1024));
  await eventually(() => long.text().includes('line_too_large') && long.socket.destroyed, 30_000);
  const slow = openLine();
  for (let i = 0; i < 3000; i++) slow.socket.write('1\r\nx\r\n');
  await eventually(() => slow.text().includes('body_in_pieces') && slow.socket.destroyed, 30_000);
  // Many connections that begin a line and never end it hold memory, which is limited together.
  const begun = Array.from({ length: size(60, 12) }, () => openLine());
  await Promise.all(begun.map(async (line) => void (await send(line, `{"op":"${'x'.repeat(4 * 1024 * 1024)}`))));
  await expectServed(attacked);
});

it('refuses operations beyond those that may be open on a connection', async () => {
  const line = openLine();
  // The first waits for its tokens or its worker at most, so that all others come meanwhile.
  const text = `${JSON.stringify({ op: 'reserve', text: 'word '.repeat(30_000) })}\n`.repeat(2000);
  await send(line, text);
  await eventually(() => line.text().split('\n').length > 2000, 60_000);
  await expectServed(attacked);
});

const many = (count: number, item: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => item(i)).join();
const wrong: readonly (readonly [what: string, body: string, status: number])[] = [
  ['no object', '[]', 400],
  ['no JSON', '{"tokens":', 400],
  ['deep nesting', `{"slo":${'['.repeat(100_000)}`, 400],
  ['no prompt', '{}', 400],
  ['two prompts', '{"tokens":[1],"text":"x"}', 400],
  ['no token', '{"tokens":[]}', 400],
  ['negative tokens', '{"tokens":[-1]}', 400],
  ['tokens beyond 32 bits', '{"tokens":[4294967296]}', 400],
  ['huge tokens', `{"tokens":[${'9'.repeat(5000)}]}`, 400],
  ['broken tokens', '{"tokens":[1.5]}', 400],
  ['tokens of text', '{"tokens":["a"]}', 400],
  ['empty base64', '{"tokens":""}', 400],
  ['base64 of five bytes', '{"tokens":"AAAAAAA="}', 400],
  ['no base64', '{"tokens":"!!!!"}', 400],
  ['base64 with spaces', '{"tokens":"AAAA AAAA"}', 400],
  ['unpadded base64', '{"tokens":"AAAAAA"}', 400],
  ['padding in between', '{"tokens":"AAAAAA==AAAAAA=="}', 400],
  ['a number as tokens', '{"tokens":7}', 400],
  ['chats without a role', '{"messages":[{}]}', 400],
  ['chats of numbers', '{"messages":7}', 400],
  ['hashes without isl', '{"blockHashes":{"16":[]}}', 400],
  ['hashes of too few blocks', '{"blockHashes":{"16":[1]},"isl":320}', 400],
  ['hashes of no size', '{"blockHashes":{"__proto__":[1]},"isl":16}', 400],
  ['hashes of size 0', '{"blockHashes":{"0":[1]},"isl":16}', 400],
  ['hashes beyond 64 bits', `{"blockHashes":{"16":[${2n ** 64n}]},"isl":16}`, 400],
  ['broken hashes', '{"blockHashes":{"16":[0.5]},"isl":16}', 400],
  ['hashes of text', '{"blockHashes":{"16":[null]},"isl":16}', 400],
  ['isl of a list', '{"blockHashes":{"16":[1]},"isl":[16]}', 400],
  ['too many listed hashes', `{"blockHashes":{"1":[${'1,'.repeat(70_000)}1]},"isl":70001}`, 400],
  ['a million fields', `{${many(200_000, (i) => `"f${i}":1`)}}`, 400],
  ['many excluded workers', `{"tokens":[1],"excluded":[${many(300_000, () => '"w"')}]}`, 400],
  ['many members of slo', `{"tokens":[1],"slo":{${many(100_000, (i) => `"f${i}":1`)}}}`, 400],
  ['an endless weight', '{"tokens":[1],"overlapWeight":1e400}', 400],
  ['a negative weight', '{"tokens":[1],"temperature":-1}', 400],
  ['a field named __proto__', '{"tokens":[1],"__proto__":{"n":2}}', 400],
  ['too many sequences', '{"tokens":[1],"n":129}', 400],
  ['a long id', `{"tokens":[1],"id":"${'i'.repeat(100_000)}"}`, 400],
  ['an id of controls', '{"tokens":[1],"id":"a\\u0000b"}', 400],
  ['an id of null bytes in text', '{"tokens":[1],"id":7}', 400],
  ['a lease of no time', '{"tokens":[1],"leaseS":0}', 400],
  ['a lease beyond the limit', '{"tokens":[1],"leaseS":86400}', 400],
  ['an unknown model', '{"tokens":[1],"model":"nobody"}', 404],
  ['a LoRA adapter of nothing', '{"tokens":[1],"lora":"nobody"}', 404],
  ['too large a body', `{"text":"${'x'.repeat(9 * 1024 * 1024)}"}`, 413],
];

it.each(wrong)('refuses %s', async (_, body, status) => {
  const { status: answered, text } = await call('POST', '/reserve', body);
  expect([answered, JSON.parse(text)]).toEqual([
    status,
    { error: expect.objectContaining({ message: expect.any(String) }) },
  ]);
  // The same as a line, and inside a batch, where it is JSON.
  if (!body.startsWith('{') || status === 413) return;
  const line = openLine();
  await send(line, `{"op":"reserve","tag":1,${body.slice(1)}\n{"op":"show","id":"none","tag":2}\n`);
  await eventually(
    () =>
      line
        .text()
        .split('\n')
        .filter((one) => one.includes('"status":4')).length === 2,
    20_000,
  );
});

it.each([
  ['GET', '/reservations/', 404],
  ['GET', '/reservations/%00', 400],
  ['GET', '/reservations/%', 400],
  ['GET', '/reservations/a/b/c', 404],
  ['GET', `/reservations/${'i'.repeat(10_000)}`, 404],
  ['DELETE', `/reservations/${'i'.repeat(10_000)}`, 400],
  ['DELETE', '/reservations/a?outcome=nonsense', 400],
  ['DELETE', '/reservations/a?outcome=done&outcome=done', 400],
  ['DELETE', '/reservations/a?__proto__=1', 400],
  ['DELETE', '/reservations/a?promptTokens=99999999999999999999', 400],
  ['DELETE', '/reservations/a?promptTokens=1&cachedTokens=2', 400],
  ['DELETE', '/reservations/a?outputTokens=2', 400],
  ['GET', '/overlap', 400],
  ['GET', '/overlap?tokens=', 400],
  ['GET', '/overlap?tokens=1,,2', 400],
  ['GET', '/overlap?tokens=4294967296', 400],
  ['GET', '/overlap?tokens=1&tokens=2', 400],
  ['GET', '/overlap?tokens=1&text=a', 400],
  ['GET', '/overlap?tokens=1&max_tokens=2', 400],
  ['GET', '/overlap?tokens=1&__proto__=2', 400],
  ['GET', '/overlap?tokens=1&model=nobody', 404],
  ['GET', '/potential-loads?tokens=1&n=0', 400],
  ['GET', '/potential-loads?tokens=1&n=one', 400],
  ['GET', `/overlap?text=${'a'.repeat(40_000)}`, 431],
  ['PUT', '/reserve', 405],
  ['GET', '/reservations/a/first-token', 405],
  ['POST', '/reservations/a/nonsense', 404],
])('refuses %s %s', async (method, path, status) => {
  expect((await call(method, path)).status).toBe(status);
});

it.each([
  ['{"operations":{}}', 400],
  ['{"operations":[]}', 400],
  ['{"operations":[1],"more":1}', 400],
  [`{"operations":[${many(101, () => '{"op":"show","id":"a"}')}]}`, 413],
])('refuses a batch of %s', async (body, status) => {
  expect((await call('POST', '/batch', body)).status).toBe(status);
});
