// Bench of sharing between replicas: processor time of one replica that shares with others, against one that does not.
//
// The measured replica routes requests over eight workers and passes on their first tokens and ends, without HTTP. The
// others do the same in a second process; all speak over a real nats-server. The kinds of run take turns: alone; sharing
// with nobody over a link that drops everything, which is the price of keeping count and of writing; sharing. Prompts are
// made and hashed before, so that the difference does not drown in their cost.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { pino } from 'pino';
import { BlockHasher, type Booking, Random, type RouteRequest } from '../src/core/index.ts';
import { resolveConfig } from '../src/gateway/config/config.ts';
import type { KeyUse } from '../src/gateway/peers/key-shares.ts';
import { NatsLink } from '../src/gateway/peers/nats-link.ts';
import type { LinkListener, LinkStatus, PeerLink } from '../src/gateway/peers/peer-link.ts';
import { Peers } from '../src/gateway/peers/peers.ts';
import { Pool } from '../src/gateway/pools/pool.ts';
import { announceOne } from './decision.ts';
import { environment } from './measure.ts';

const workerCount = 8;
const blockSize = 16;
const promptTokens = 2048;
const prefixTokens = 1536;
const prefixCount = 64;
/** Prompts that take turns, each longer away than a request lives. */
const promptCount = 2048;
const firstTokenMs = 100;
const endMs = 400;
const settleMs = 1500;
/** Time that the others have to start. On a busy machine it takes seconds. */
const startMsMax = 60_000;

const config = resolveConfig({ workers: ['http://127.0.0.1:9'] });
const log = pino({ level: 'silent' });

const kinds = ['alone', 'unheard', 'sharing'] as const;
type Kind = (typeof kinds)[number];

/** Processor time per second of a run, in cores. */
interface Spent {
  readonly alone: number;
  /** Counts and writes what it would tell, but has no link. */
  readonly unheard: number;
  readonly sharing: number;
}

export interface SharingFigures {
  readonly requests: number;
  readonly rounds: readonly Spent[];
  readonly messagesInPerS: number;
  readonly messagesOutPerS: number;
  readonly bytesInPerS: number;
}

/** Drops what it is given. */
class NoLink implements PeerLink {
  readonly status: LinkStatus = {
    state: 'connected',
    server: null,
    reason: null,
    connections: 1,
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    droppedIn: 0,
    droppedOut: 0,
  };

  open(listener: LinkListener): void {
    listener.connected();
  }

  publish(): void {}

  async ask(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {}
}

function hashedPrompts(random: Random): RouteRequest[] {
  const hasher = new BlockHasher();
  const tokens = new Uint32Array(promptTokens);
  return Array.from({ length: promptCount }, () => {
    const prefix = random.below(prefixCount);
    for (let i = 0; i < promptTokens; i++) tokens[i] = i < prefixTokens ? prefix * 7 + i : random.below(50_000);
    return { prompts: [{ isl: promptTokens, hashes: [hasher.hash(tokens, blockSize)] }] };
  });
}

/** A pool that takes requests at a steady rate, and its peers if it has a link. */
class Sharer {
  readonly #pool = new Pool('model', config);
  readonly #prompts: readonly RouteRequest[];
  readonly peers: Peers | null;
  readonly #timers: NodeJS.Timeout[] = [];
  requests = 0;

  /** @param nats null: no link */
  constructor(seed: number, kind: Kind, nats: string | null) {
    this.#prompts = hashedPrompts(new Random(seed));
    const { router } = this.#pool;
    for (let i = 0; i < workerCount; i++) {
      const id = `http://10.0.0.${i}:8000#0`;
      const worker = router.addWorker({ id, blockSize, capacityBlocks: 20_000, source: 'events' });
      announceOne(router, worker);
    }
    this.peers = kind === 'alone' ? null : peersOf(this.#pool, `bench${seed}`, kind === 'unheard' ? null : nats);
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

  /** Waits until so many replicas are heard, this one included. */
  async hear(replicas: number): Promise<void> {
    for (const startMs = performance.now(); this.peers!.view.replicas < replicas; ) {
      if (performance.now() - startMs > startMsMax) throw new Error('the other replicas are not heard');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await new Promise((resolve) => setTimeout(resolve, endMs + 50));
    await this.peers?.close();
    if (this.#pool.router.liveBookings > 0) throw new Error('a booking was not released');
  }

  #request(): void {
    const { router } = this.#pool;
    const request = this.#prompts[this.requests++ % promptCount]!;
    const routed = router.route(request, performance.now());
    if (routed.kind !== 'routed') throw new Error(routed.reason);
    const booking: Booking = routed.bookings[0]!;
    setTimeout(() => router.firstToken(booking, performance.now()), firstTokenMs);
    setTimeout(() => router.release(booking, 'done', performance.now()), endMs);
  }
}

function peersOf(pool: Pool, replica: string, nats: string | null): Peers {
  const access = resolveConfig({ workers: ['http://127.0.0.1:9'], nats: nats === null ? [] : [nats] });
  const link = nats === null ? new NoLink() : new NatsLink({ access, cluster: 'bench', replica, log });
  const uses = (): ReadonlyMap<null, KeyUse> => new Map();
  return new Peers({ config: access, pools: [pool], link, replica, version: '0', address: () => '', uses, log });
}

/** The other replicas, in a process of their own that ends with its parent. */
export function runOthers(nats: string, count: number, requestsPerS: number): void {
  for (let i = 0; i < count; i++) new Sharer(100 + i, 'sharing', nats).run(requestsPerS);
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
  const all = { requests: 0, in: 0, out: 0, bytes: 0 };
  const spentIn: Spent[] = [];
  for (let round = 0; round < rounds; round++) {
    const spent = { alone: 0, unheard: 0, sharing: 0 };
    for (const kind of kinds) {
      const args = [nats, `${replicas - 1}`, `${requestsPerS}`];
      const others = kind !== 'sharing' || script === null ? null : fork(script, args);
      const sharer = new Sharer(round + 1, kind, nats);
      sharer.run(requestsPerS);
      if (others !== null) await sharer.hear(replicas);
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      const heard = sharer.peers?.linkStatus;
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const { user, system } = process.cpuUsage(before);
      spent[kind] = (user + system) / 1e6 / seconds;
      const { messagesIn = 0, messagesOut = 0, bytesIn = 0 } = sharer.peers?.linkStatus ?? {};
      all.requests += sharer.requests;
      all.in += messagesIn - (heard?.messagesIn ?? 0);
      all.out += messagesOut - (heard?.messagesOut ?? 0);
      all.bytes += bytesIn - (heard?.bytesIn ?? 0);
      await sharer.close();
      if (others !== null) await ended(others);
    }
    spentIn.push(spent);
  }
  const perS = (sum: number): number => sum / rounds / seconds;
  return {
    requests: all.requests,
    rounds: spentIn,
    messagesInPerS: perS(all.in),
    messagesOutPerS: perS(all.out),
    bytesInPerS: perS(all.bytes),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

export function printSharing(figures: SharingFigures, replicas: number, requestsPerS: number): void {
  const share = (cores: number): string => `${(100 * cores).toFixed(1)} %`;
  const middleOf = (of: (spent: Spent) => number): string => {
    const sorted = figures.rounds.map(of).sort((a, b) => a - b);
    const middle = sorted[sorted.length >> 1]!;
    return `${share(middle)} (${share(sorted[0]!)} to ${share(sorted.at(-1)!)})`;
  };
  console.log(environment());
  console.log(
    `${replicas} replicas, ${requestsPerS} requests/s each, ${figures.rounds.length} rounds: median (least to most), of a core`,
  );
  console.log(`routing alone: ${middleOf(({ alone }) => alone)}`);
  console.log(`sharing costs: ${middleOf(({ alone, sharing }) => sharing - alone)}`);
  console.log(`of that, to count and to write what is told: ${middleOf(({ alone, unheard }) => unheard - alone)}`);
  console.log(
    `messages/s: ${figures.messagesOutPerS.toFixed(0)} sent, ${figures.messagesInPerS.toFixed(0)} received with ${(figures.bytesInPerS / 1000).toFixed(0)} kB/s`,
  );
}
