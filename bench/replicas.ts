// Bench of sharing between replicas: processor time of one replica that shares with others, against one that does not.
//
// The measured replica routes requests over eight workers and passes on their first tokens and ends, without HTTP. The
// others do the same in a second process; all speak over a real nats-server. Both kinds of run take turns.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { pino } from 'pino';
import { BlockHasher, type Booking, Random, type RouteRequest } from '../src/core/index.ts';
import { resolveConfig } from '../src/gateway/config/config.ts';
import type { KeyUse } from '../src/gateway/peers/key-shares.ts';
import { NatsLink } from '../src/gateway/peers/nats-link.ts';
import { Peers } from '../src/gateway/peers/peers.ts';
import { Pool } from '../src/gateway/pools/pool.ts';
import { environment } from './measure.ts';

const workerCount = 8;
const blockSize = 16;
const promptTokens = 2048;
const firstTokenMs = 100;
const endMs = 400;
const settleMs = 1500;

const config = resolveConfig({ workers: ['http://127.0.0.1:9'] });
const log = pino({ level: 'silent' });

export interface SharingFigures {
  readonly requests: number;
  /** Processor time per second of the run, in cores. */
  readonly alone: number;
  readonly sharing: number;
  readonly messagesInPerS: number;
  readonly bytesInPerS: number;
}

/** A pool that takes requests at a steady rate, and its peers if it has a server. */
class Sharer {
  readonly #pool = new Pool('model', config);
  readonly #random: Random;
  readonly #hasher = new BlockHasher();
  readonly peers: Peers | null;
  readonly #timers: NodeJS.Timeout[] = [];
  requests = 0;

  constructor(seed: number, nats: string | null) {
    this.#random = new Random(seed);
    for (let i = 0; i < workerCount; i++) {
      this.#pool.router.addWorker({
        id: `http://10.0.0.${i}:8000#0`,
        blockSize,
        capacityBlocks: 20_000,
        source: 'events',
      });
    }
    this.peers = nats === null ? null : peersOf(this.#pool, `bench${seed}`, nats);
    this.peers?.open();
  }

  run(requestsPerS: number): void {
    const startMs = performance.now();
    let due = 0;
    const timer = setInterval(() => {
      const wanted = ((performance.now() - startMs) * requestsPerS) / 1000;
      for (; due < wanted; due++) this.#request();
    }, 1);
    this.#timers.push(timer);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await new Promise((resolve) => setTimeout(resolve, endMs + 50));
    await this.peers?.close();
    if (this.#pool.router.liveBookings > 0) throw new Error('a booking was not released');
  }

  #request(): void {
    this.requests += 1;
    const { router } = this.#pool;
    const prefix = this.#random.below(64);
    const tokens = Uint32Array.from({ length: promptTokens }, (_, i) =>
      i < 1536 ? prefix * 7 + i : this.#random.below(50_000),
    );
    const hashes = [this.#hasher.hash(tokens, blockSize)];
    const request: RouteRequest = { prompts: [{ isl: promptTokens, hashes }] };
    const routed = router.route(request, performance.now());
    if (routed.kind !== 'routed') throw new Error(routed.reason);
    const booking: Booking = routed.bookings[0]!;
    setTimeout(() => router.firstToken(booking, performance.now()), firstTokenMs);
    setTimeout(() => router.release(booking, 'done', performance.now()), endMs);
  }
}

function peersOf(pool: Pool, replica: string, nats: string): Peers {
  const access = resolveConfig({ workers: ['http://127.0.0.1:9'], nats: [nats] });
  const link = new NatsLink({ access, cluster: 'bench', replica, log });
  const uses = (): ReadonlyMap<null, KeyUse> => new Map();
  return new Peers({ config: access, pools: [pool], link, replica, version: '0', address: () => '', uses, log });
}

/** The other replicas, in a process of their own that ends with its parent. */
export function runOthers(nats: string, count: number, requestsPerS: number): void {
  for (let i = 0; i < count; i++) new Sharer(100 + i, nats).run(requestsPerS);
  process.on('disconnect', () => process.exit());
}

/** @param script path of a program that calls `runOthers` with its arguments; null: no others */
export async function measureSharing(
  nats: string,
  script: string | null,
  {
    replicas,
    requestsPerS,
    seconds,
    rounds,
  }: { replicas: number; requestsPerS: number; seconds: number; rounds: number },
): Promise<SharingFigures> {
  const spent = { alone: 0, sharing: 0 };
  const all = { requests: 0, messages: 0, bytes: 0 };
  for (let round = 0; round < rounds; round++) {
    for (const kind of ['alone', 'sharing'] as const) {
      const others =
        kind === 'alone' || script === null ? null : fork(script, [nats, `${replicas - 1}`, `${requestsPerS}`]);
      const sharer = new Sharer(round + 1, kind === 'alone' ? null : nats);
      sharer.run(requestsPerS);
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      const before = process.cpuUsage();
      const heard = sharer.peers?.linkStatus;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const { user, system } = process.cpuUsage(before);
      spent[kind] += (user + system) / 1e6 / seconds / rounds;
      const { messagesIn = 0, bytesIn = 0 } = sharer.peers?.linkStatus ?? {};
      all.requests += sharer.requests;
      all.messages += messagesIn - (heard?.messagesIn ?? 0);
      all.bytes += bytesIn - (heard?.bytesIn ?? 0);
      await sharer.close();
      if (others !== null) await ended(others);
    }
  }
  const perS = (sum: number): number => sum / rounds / seconds;
  return { ...spent, requests: all.requests, messagesInPerS: perS(all.messages), bytesInPerS: perS(all.bytes) };
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

export function printSharing(figures: SharingFigures, replicas: number, requestsPerS: number): void {
  const share = (cores: number): string => `${(100 * cores).toFixed(1)} %`;
  console.log(environment());
  console.log(
    `${replicas} replicas, ${requestsPerS} requests/s each: routing alone takes ${share(figures.alone)} of a core,`,
  );
  console.log(
    `with sharing ${share(figures.sharing)}: sharing costs ${share(figures.sharing - figures.alone)} of a core`,
  );
  console.log(
    `received: ${figures.messagesInPerS.toFixed(0)} messages/s, ${(figures.bytesInPerS / 1000).toFixed(0)} kB/s`,
  );
}
