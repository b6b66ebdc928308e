// Bench of the KV-event intake through sockets: events per second, and how long the event loop is blocked.
//
// A publisher process sends batches of 16 one-block events over ZMQ, like an engine with a full cache: eight stores,
// and eight removals of blocks stored half a round earlier. A feed applies them to a router that makes decisions at the
// same time. A first measurement without messages shows what the machine itself contributes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { BlockHasher, type BlocksStored, type KvEvent, type Router } from '../src/core/index.ts';
import { resolveConfig } from '../src/gateway/config/config.ts';
import { Engine, Worker } from '../src/gateway/engines/engine.ts';
import type { WorkerTraits } from '../src/gateway/engines/worker-traits.ts';
import { FeedCommons } from '../src/gateway/feeds/feed-commons.ts';
import { KvFeed } from '../src/gateway/feeds/kv-feed.ts';
import { EventIntake } from '../src/gateway/fleet/event-intake.ts';
import { Pool } from '../src/gateway/pools/pool.ts';
import { encodeKvBatch } from '../src/wire/kv-events.ts';
import { type LoopFigures, LoopWatch } from './loop-watch.ts';
import { environment } from './measure.ts';

const blockSize = 16;
const chainBlocks = 8;
const eventsPerMessage = 2 * chainBlocks;
/** Distinct messages. Half as many chains are held at a time. */
const roundMessages = 4096;
const decisionsPerS = 200;
const promptTokens = 2048;
const url = 'http://127.0.0.1:9';

export interface IntakeFigures {
  readonly messages: number;
  readonly lostBatches: number;
  readonly heldBlocks: number;
  readonly seconds: number;
  /** CPU time of this process, in cores. */
  readonly cpuShare: number;
  readonly quiet: LoopFigures;
  readonly busy: LoopFigures;
}

export async function measureIntake(messagesPerS: number, seconds: number): Promise<IntakeFigures> {
  // Run from the project's root. The publisher is plain JavaScript because Node starts it directly.
  const child = spawn(process.execPath, ['bench/kv-intake-publisher.mjs', String(messagesPerS), String(seconds)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { value: endpoint } = await lines.next();
  for (const payload of roundOfPayloads()) child.stdin.write(Buffer.concat([lengthOf(payload), payload]));
  child.stdin.write(lengthOf(Buffer.alloc(0)));
  const { feed, router, heldBlocks, close } = follow(String(endpoint));
  await feed.whenCurrent(5000);
  // The publisher learns about the subscription shortly after the handshake.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const decide = decisionsOf(router);
  const quietWatch = new LoopWatch(decisionsPerS, decide);
  await new Promise((resolve) => setTimeout(resolve, seconds * 200));
  const quiet = quietWatch.stop();
  const busyWatch = new LoopWatch(decisionsPerS, decide);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  child.stdin.write('!');
  const published = Number((await lines.next()).value);
  while (feed.status.lastSeq < published - 1) await new Promise((resolve) => setTimeout(resolve, 1));
  const took = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { batches, lostBatches } = feed.status;
  const figures: IntakeFigures = {
    messages: batches,
    lostBatches,
    heldBlocks: heldBlocks(),
    seconds: took,
    cpuShare: (user + system) / 1e6 / took,
    quiet,
    busy: busyWatch.stop(),
  };
  child.stdin.end();
  await once(child, 'exit');
  await close();
  return figures;
}

export async function benchIntake(messagesPerS: number, seconds: number): Promise<void> {
  console.log(environment());
  const figures = await measureIntake(messagesPerS, seconds);
  const { messages, lostBatches, heldBlocks, cpuShare } = figures;
  const perS = messages / figures.seconds;
  console.log(`asked for    ${messagesPerS} messages/s of ${eventsPerMessage} one-block events for ${seconds} s`);
  console.log(`taken in     ${perS.toFixed(0)} messages/s, ${(perS * eventsPerMessage).toFixed(0)} events/s`);
  console.log(`lost         ${lostBatches} of ${messages} batches; ${heldBlocks} blocks held at the end`);
  console.log(
    `CPU          ${(100 * cpuShare).toFixed(0)} % of a core, ${((1e6 * cpuShare) / perS).toFixed(1)} us a message`,
  );
  printLoop('without messages', figures.quiet);
  printLoop('with messages', figures.busy);
}

function printLoop(when: string, loop: LoopFigures): void {
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  console.log(`${when}:`);
  console.log(
    `  loop held    ${ms(loop.heldMaxMs)} at most, ${ms(loop.heldP99Ms)} p99; ` +
      `longest garbage collection ${ms(loop.collectionMaxMs)}`,
  );
  console.log(
    `  decisions    ${loop.decisions}: waited ${ms(loop.waitMaxMs)} at most, ${ms(loop.waitP99Ms)} p99; ` +
      `took ${ms(loop.tookP99Ms)} p99`,
  );
}

/** One decision: hashes a prompt that begins with a stored chain, chooses, books and releases. */
function decisionsOf(router: Router): (index: number) => void {
  const hasher = new BlockHasher();
  const tail = Array.from({ length: promptTokens - chainBlocks * blockSize }, (_, i) => i);
  const prompts = Array.from({ length: 64 }, (_, chain) =>
    Uint32Array.from([...chainOf(chain * 61).flatMap(({ tokens }) => [...tokens]), ...tail]),
  );
  return (index) => {
    const nowMs = performance.now();
    const hashes = [hasher.hash(prompts[index % prompts.length]!, blockSize)];
    const routed = router.route({ prompts: [{ isl: promptTokens, hashes }] }, nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    for (const booking of routed.bookings) router.release(booking, 'failed', nowMs);
  };
}

function follow(endpoint: string): {
  readonly feed: KvFeed;
  readonly router: Router;
  readonly heldBlocks: () => number;
  readonly close: () => Promise<void>;
} {
  const engine = new Engine({ url });
  const traits: WorkerTraits = {
    blockSize,
    blockSizeFrom: 'engine',
    pageSize: blockSize,
    pageSizeTold: false,
    pageSizeUnfit: null,
    capacityBlocks: roundMessages * chainBlocks,
    capacityFrom: 'engine',
    source: 'events',
  };
  const worker = new Worker(engine, 0, traits, { prefixCaching: null, blockSize, events: { kind: 'unknown' } });
  const pool = new Pool('bench', resolveConfig({ workers: [url] }));
  const index = pool.add(worker);
  worker.membership = { router: pool.router, index };
  pool.router.setRoutable(index, true);
  const commons = new FeedCommons(() => performance.now());
  const intake = new EventIntake(worker, pino({ level: 'silent' }));
  const feed = new KvFeed({ mode: 'connect', endpoint, topic: '', replayEndpoint: null }, intake, commons);
  worker.feed = feed;
  feed.open();
  return {
    feed,
    router: pool.router,
    heldBlocks: () => pool.router.heldBlocks(index),
    close: async () => {
      feed.close();
      await engine.upstream.close();
    },
  };
}

function roundOfPayloads(): Buffer[] {
  const chains = Array.from({ length: roundMessages }, (_, chain) => chainOf(chain));
  return chains.map((stores, i) => {
    const old = chains[(i + roundMessages / 2) % roundMessages]!;
    const removals = old.toReversed().map(({ hashes }): KvEvent => ({ kind: 'removed', hashes }));
    return encodeKvBatch(i, 0, [...stores, ...removals]);
  });
}

/** One store event per block. Chains differ in hashes and tokens. */
function chainOf(chain: number): BlocksStored[] {
  const hash = (block: number): Uint32Array => Uint32Array.of(chain * chainBlocks + block + 1, 0x9e3779b9);
  return Array.from({ length: chainBlocks }, (_, block) => ({
    kind: 'stored',
    hashes: hash(block),
    parent: block === 0 ? null : hash(block - 1),
    tokens: Uint32Array.from({ length: blockSize }, (_, i) => (chain * 7919 + block * 104_729 + i * 31) % 128_000),
    blockSize,
    lora: null,
    salt: null,
    extras: null,
  }));
}

function lengthOf(payload: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return length;
}
