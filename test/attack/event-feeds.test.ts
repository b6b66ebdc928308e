// Publishers of KV events that lie, flood, stall and violate the protocol: none blocks, fills or ends the gateway.

import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import type { BlocksStored } from '../../src/core/types.ts';
import { encodeKvBatch } from '../../src/wire/kv-events.ts';
import { writeMessage } from '../../src/wire/zmtp.ts';
import { eventually } from '../e2e/harness.ts';
import { endAll, type Program, script, startScripted } from '../fault/processes.ts';
import { freeEndpoint } from '../gateway/feeds/free-endpoint.ts';
import { handshakeOf, RawPublisher } from '../gateway/feeds/raw-publisher.ts';
import { size } from './attack-size.ts';
import { type Attacked, expectServed, finish, startAttacked } from './attacked.ts';

interface Shown {
  readonly trust: { readonly kind: string; readonly reason: string | null };
  readonly feed: {
    readonly batches: number;
    readonly publishers: number;
    readonly overflows: number;
    readonly gaps: number;
    readonly malformed: number;
  };
}

const capacityBlocks = 8192;
const blockSize = 16;
/** Limit on the duration of one attack. */
const attackMsMax = size(120_000, 15_000);
let attacked: Attacked;
let engines: Program[];
/** Address that the first worker's publisher connects to; then those of the second worker's publisher and replays. */
let bound: string;
let dialled: RawPublisher;
let replays: RawPublisher;
let attackers: RawPublisher[];

beforeAll(async () => {
  engines = await Promise.all([startScripted(), startScripted()]);
  await Promise.all(engines.map((engine) => script(engine, { kind: 'stream', firstTokenMs: 0, tokens: 3, gapMs: 1 })));
  bound = await freeEndpoint();
  dialled = new RawPublisher();
  replays = new RawPublisher();
  const settings = `blocks=${capacityBlocks},block-size=${blockSize}`;
  const [one, other] = engines;
  attacked = await startAttacked({
    engines: [
      `${one!.url},${settings},kv-events=bind:${bound}`,
      `${other!.url},${settings},kv-events=${await dialled.listen()},kv-replay=${await replays.listen(handshakeOf('ROUTER'))}`,
    ],
    flags: ['--tokenizer', 'builtin', '--trust-tokenizer', '--kv-publishers', '127.0.0.1', '--log-level', 'warn'],
  });
});
afterAll(async () => {
  dialled.close();
  replays.close();
  await finish(attacked, 'event feeds');
  await endAll(engines);
});
beforeEach(() => {
  attackers = [];
});
afterEach(async () => {
  for (const attacker of attackers) attacker.close();
  await expectServed(attacked);
});

async function workers(): Promise<Shown[]> {
  const response = await fetch(`${attacked.gateway.adminUrl}/workers`);
  return ((await response.json()) as { workers: Shown[] }).workers;
}

async function attack(handshake?: Buffer): Promise<{ publisher: RawPublisher; socket: Socket }> {
  const publisher = new RawPublisher();
  attackers.push(publisher);
  return { publisher, socket: await publisher.dial(bound, handshake) };
}

/** A publisher that the first worker's feed has accepted. */
async function accepted(): Promise<{ publisher: RawPublisher; socket: Socket }> {
  const { publisher, socket } = await attack();
  await eventually(() => publisher.received.includes('READY'), attackMsMax);
  return { publisher, socket };
}

/** Writes pieces as fast as the socket takes them, until all are sent, the socket is closed, or the time is over. */
async function pour(socket: Socket, pieces: Iterable<Uint8Array>): Promise<void> {
  const endMs = performance.now() + attackMsMax;
  for (const piece of pieces) {
    if (socket.destroyed || performance.now() > endMs) return;
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        socket.off('drain', done).off('close', done);
        resolve();
      };
      const timer = setTimeout(done, endMs - performance.now());
      socket.once('drain', done).once('close', done);
    });
  }
}

function* repeated(piece: Uint8Array, count: number): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) yield piece;
}

let nextSeq = 0;
let nextToken = 1;

function frames(payload: Uint8Array): Buffer {
  const seq = Buffer.alloc(8);
  seq.writeBigUInt64BE(BigInt(nextSeq++));
  return writeMessage(['', seq, payload]);
}

/** @param handle low and high word of the engine's hash of a block */
function stores(count: number, handle: (i: number) => readonly [number, number]): Buffer {
  const hashes = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) hashes.set(handle(i), 2 * i);
  const tokens = new Uint32Array(count * blockSize).map(() => nextToken++);
  const stored: BlocksStored = {
    kind: 'stored',
    hashes,
    parent: null,
    tokens,
    blockSize,
    lora: null,
    salt: null,
    extras: null,
  };
  return frames(encodeKvBatch(0, 0, [stored]));
}

it.each<[what: string, bytes: Buffer]>([
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.padEnd(200))],
  ['zeros', Buffer.alloc(4096)],
  ['another version', Buffer.concat([Buffer.from('ff00000000000000017f01', 'hex'), Buffer.alloc(100)])],
  ['a security mechanism', Buffer.from(handshakeOf('PUB').toString('latin1').replace('NULL\0', 'CURVE'), 'latin1')],
  ['a socket of another type', handshakeOf('PULL')],
  [
    'a command of 2^63 bytes',
    Buffer.concat([handshakeOf('PUB').subarray(0, 64), Buffer.from('067fffffffffffffff', 'hex')]),
  ],
  ['messages before the handshake', Buffer.concat([handshakeOf('PUB').subarray(0, 64), writeMessage(['a', 'b', 'c'])])],
])('closes a connection that begins with %s', async (_, bytes) => {
  const [before] = await workers();
  const { socket } = await attack(bytes);
  await eventually(() => socket.destroyed || socket.readableEnded, attackMsMax);
  expect((await workers())[0]!.feed).toMatchObject({ publishers: 0, batches: before!.feed.batches });
});

it('closes connections from addresses that are not allowed', async () => {
  const publisher = new RawPublisher();
  attackers.push(publisher);
  const socket = await publisher.dial(bound, handshakeOf('PUB'), '127.0.0.2');
  await eventually(() => socket.destroyed || socket.readableEnded, attackMsMax);
  expect(publisher.received.includes('READY')).toBe(false);
});

it('survives connections that never send anything', async () => {
  const sockets = Array.from({ length: size(2000, 200) }, () =>
    connect({ port: Number(/\d+$/.exec(bound)![0]), host: '127.0.0.1' }).on('error', () => undefined),
  );
  await expectServed(attacked);
  for (const socket of sockets) socket.destroy();
});

it('closes a message of 1.5 GB at its header, and a message of endless frames', async () => {
  const head = Buffer.alloc(9);
  head[0] = 2;
  head.writeBigUInt64BE(1_500_000_000n, 1);
  const mebibyte = Buffer.alloc(1024 * 1024);
  const [before] = await workers();
  const { socket } = await accepted();
  await pour(socket, [head, ...repeated(mebibyte, size(1500, 64))]);
  await eventually(() => socket.destroyed, attackMsMax);
  const frame = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 0, 0x10, 0, 0]), mebibyte]);
  const other = await accepted();
  await pour(other.socket, repeated(frame, size(1500, 64)));
  await eventually(() => other.socket.destroyed, attackMsMax);
  expect((await workers())[0]!.feed.batches).toBe(before!.feed.batches);
});

it('closes a peer that pings and never reads the answers', async () => {
  const { socket } = await accepted();
  socket.pause();
  const ping = Buffer.from('\x04\x17\x04PING\0\x0a0123456789abcdef', 'latin1');
  await pour(socket, repeated(Buffer.concat(Array.from({ length: 1000 }, () => ping)), size(20_000, 2000)));
  await expectServed(attacked);
});

it('holds back a publisher that is faster than the gateway, and keeps no backlog', async () => {
  const { socket } = await accepted();
  const batches = Array.from({ length: 16 }, () => stores(2000, (i) => [i, nextToken]));
  const bytes = batches.reduce((sum, { length }) => sum + length, 0);
  const rounds = Math.ceil(size(1_200_000_000, 24_000_000) / bytes);
  for (let round = 0; round < rounds && !socket.destroyed; round++) await pour(socket, batches);
  await expectServed(attacked);
});

it("keeps at most a small multiple of the engine's capacity in blocks", async () => {
  const { socket } = await accepted();
  const [before] = await workers();
  const total = size(10_000_000, 200_000);
  function* growing(): Generator<Uint8Array> {
    for (let sent = 0; sent < total; sent += 5000) yield stores(5000, (i) => [sent + i, 77]);
  }
  await pour(socket, growing());
  await eventually(async () => (await workers())[0]!.feed.overflows > before!.feed.overflows, attackMsMax);
  expect((await workers())[0]!.trust.kind).toBe('degraded');
  const response = await fetch(`${attacked.gateway.adminUrl}/loads`);
  const { workers: loads } = (await response.json()) as { workers: { heldBlocks: number }[] };
  expect(Math.max(...loads.map(({ heldBlocks }) => heldBlocks))).toBeLessThanOrEqual(8 * capacityBlocks);
  expect(attacked.gateway.logged('announce more blocks than the engine can hold')).toHaveLength(1);
});

it('is not slowed down by hashes chosen to collide in one slot', async () => {
  const { socket } = await accepted();
  const total = size(200_000, 40_000);
  function* meeting(): Generator<Uint8Array> {
    for (let sent = 0; sent < total; sent += 2000)
      yield stores(2000, (i) => [Math.imul(sent + i, 0x85ebca6b), sent + i]);
  }
  await pour(socket, meeting());
  await expectServed(attacked);
});

it('logs jumps of the sequence number occasionally, not each of them', async () => {
  const { socket } = await accepted();
  const [before] = await workers();
  const jumps = size(100_000, 3000);
  const payload = encodeKvBatch(0, 0, []);
  function* jumping(): Generator<Uint8Array> {
    for (let i = 0; i < jumps; i++) {
      nextSeq += 1 + (i % 3);
      yield frames(payload);
    }
  }
  await pour(socket, jumping());
  await eventually(async () => (await workers())[0]!.feed.gaps - before!.feed.gaps >= jumps - 1, attackMsMax);
  expect(attacked.gateway.logged('KV event feed broken').join('').length).toBeLessThan(100_000);
});

it('survives payloads with endless nesting, false headers and random bytes', async () => {
  const random = new Random(11);
  const { socket } = await accepted();
  const [before] = await workers();
  const payloads = [
    Buffer.alloc(100_000, 0x91),
    Buffer.alloc(100_000, 0x81),
    Buffer.from('ddffffffff', 'hex'),
    Buffer.from('93cb41da305498100000ddffffffffc0', 'hex'),
    Buffer.concat([
      Buffer.from('93cb41da305498100000dd000fffff', 'hex'),
      Buffer.alloc(1_048_575, 0xc0),
      Buffer.from([0]),
    ]),
    Buffer.concat([
      Buffer.from('93cb41da305498100000dd00040000', 'hex'),
      Buffer.alloc(262_144, 0x80),
      Buffer.from([0]),
    ]),
    ...Array.from({ length: size(20_000, 500) }, () =>
      Buffer.from(Uint8Array.from({ length: random.below(200) }, () => random.below(256))),
    ),
  ];
  await pour(socket, payloads.map(frames));
  await eventually(
    async () => (await workers())[0]!.feed.malformed - before!.feed.malformed >= payloads.length / 2,
    attackMsMax,
  );
  expect(attacked.gateway.logged('by a fault of the gateway')).toEqual([]);
});

it('abandons an endless replay, and follows the feed meanwhile', async () => {
  const end = performance.now() + size(20_000, 2000);
  let seq = 1_000_000;
  while (performance.now() < end) {
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(seq++));
    replays.write(writeMessage(['', '', number, encodeKvBatch(0, 0, [])]));
    replays.write(writeMessage(['nonsense']));
    dialled.publish('', seq % 7, encodeKvBatch(0, 0, []));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expectServed(attacked);
});
