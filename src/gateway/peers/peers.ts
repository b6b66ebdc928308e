// This gateway among its replicas: shares load, placements of sessions, use of keys and the index of KV blocks.

import type { Logger } from 'pino';
import { MessagePace, Replica, type ReplicaView } from '../../cluster/index.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Worker } from '../engines/engine.ts';
import { LogRate } from '../feeds/log-rate.ts';
import type { PeerCopy } from '../feeds/peer-copy.ts';
import type { Pool } from '../pools/pool.ts';
import { HoldingsClient } from './holdings-client.ts';
import { HoldingsServer } from './holdings-server.ts';
import { type KeyName, KeyShares, type KeyUse } from './key-shares.ts';
import type { LinkListener, LinkStatus, PeerChannel, PeerLink } from './peer-link.ts';
import { readPins, SessionPins, sessionName } from './session-pins.ts';

const tickMs = 50;
/** Between two rounds of the limits by key. */
const limitsMs = 250;

export interface PeersOptions {
  readonly config: Pick<GatewayConfig, 'cluster' | 'replicas'>;
  readonly pools: Iterable<Pool>;
  readonly link: PeerLink;
  readonly replica: string;
  /** Version of this program. */
  readonly version: string;
  /** URL of the clients' listener, for operators to recognise it by. */
  address(): string;
  /** Own use of the keys. */
  uses(nowMs: number): ReadonlyMap<KeyName, KeyUse>;
  readonly log: Logger;
}

/** After the start, the others need not be heard yet. */
const foundMsMax = 2000;
/** Bytes of a message about sessions or keys; larger ones are not read. */
const sideMessageBytesMax = 262_144;

interface Placed {
  readonly pool: Pool;
  readonly worker: Worker;
}

export interface PeerCounts {
  readonly unreadPins: number;
  readonly unreadLimits: number;
  readonly untoldPins: number;
  readonly copiesGiven: number;
  readonly copiesTaken: number;
  readonly copiesRefused: number;
}

export class Peers implements LinkListener {
  readonly shares: KeyShares;
  readonly #options: PeersOptions;
  readonly #replica: Replica;
  readonly #pins = new SessionPins();
  readonly #server: HoldingsServer;
  readonly #client: HoldingsClient;
  /** Pools that take part, with their names among replicas. */
  readonly #pools = new Map<Pool, string>();
  #workers: ReadonlyMap<string, Placed> | null = null;
  #ticker: NodeJS.Timeout | undefined;
  readonly #pace = new MessagePace();
  /** Until changes may be told. */
  #waiting: NodeJS.Timeout | undefined;
  #limitsDueMs = 0;
  readonly #unread = { pins: 0, limits: 0 };
  readonly #failureRate = new LogRate(() => performance.now());
  #isPartial = false;
  #openedMs = 0;

  constructor(options: PeersOptions) {
    const { config, replica, version, link } = options;
    this.#options = options;
    const expected = config.replicas === 'auto' ? undefined : config.replicas;
    this.#replica = new Replica({
      origin: replica,
      epoch: Date.now(),
      // Read for each gauge: the address is known only once the listener is open.
      get about() {
        return `${version} ${options.address()}`;
      },
      ...(expected !== undefined && { replicasExpected: expected }),
    });
    this.#replica.onDue = () => this.#flushSoon();
    this.shares = new KeyShares(replica, expected ?? 1);
    this.#server = new HoldingsServer((id) => this.#placed(id)?.worker);
    this.#client = new HoldingsClient({
      replicas: () => this.#here(),
      isFinding: () => link.status.reason === null && link.status.state !== 'closed',
      ask: (one, bytes, timeoutMs) => link.ask(one, bytes, timeoutMs),
    });
  }

  open(): void {
    this.#openedMs = performance.now();
    this.#replica.setConnected(false, this.#openedMs);
    this.#options.link.open(this);
    this.#ticker = setInterval(() => this.#guard(() => this.#tick()), tickMs).unref();
  }

  /** Says goodbye, so that the others need not wait to see this one gone. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#server.close();
    this.#options.link.publish('load', this.#replica.goodbye());
    await this.#options.link.close();
  }

  /** A `CopySource` for the feeds of KV events. */
  copyOf(worker: string, seqMin: number, signal: AbortSignal): Promise<PeerCopy | null> {
    return this.#client.copyOf(worker, seqMin, signal);
  }

  connected(): void {
    this.#guard(() => {
      this.#replica.setConnected(true, performance.now());
      this.#tick();
    });
  }

  disconnected(): void {
    this.#guard(() => this.#replica.setConnected(false, performance.now()));
  }

  message(channel: PeerChannel, bytes: Uint8Array): void {
    switch (channel) {
      case 'load':
        this.#replica.receive(bytes, performance.now());
        return;
      case 'pins':
        if (bytes.length > sideMessageBytesMax || !readPins(bytes, (name, id) => this.#pinned(name, id))) {
          this.#unread.pins += 1;
        }
        return;
      case 'limits':
        if (bytes.length > sideMessageBytesMax || !this.shares.read(bytes, (one) => this.#isHere(one))) {
          this.#unread.limits += 1;
        }
    }
  }

  asked(bytes: Uint8Array): Promise<Uint8Array | null> {
    return this.#server.answer(bytes);
  }

  get view(): ReplicaView {
    return this.#replica.view(performance.now());
  }

  get linkStatus(): LinkStatus {
    return this.#options.link.status;
  }

  /** Messages about sessions and keys that could not be read or came from nobody known; copies given and taken. */
  get counts(): PeerCounts {
    const { received, refused } = this.#client.counts;
    return {
      unreadPins: this.#unread.pins,
      unreadLimits: this.#unread.limits,
      untoldPins: this.#pins.untold,
      copiesGiven: this.#server.served,
      copiesTaken: received,
      copiesRefused: refused,
    };
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#workers = null;
    this.#followPools();
    this.#send(this.#replica.tick(nowMs), nowMs);
    const pins = this.#pins.take();
    if (pins !== null) this.#options.link.publish('pins', pins);
    if (nowMs < this.#limitsDueMs) return;
    this.#limitsDueMs = nowMs + limitsMs;
    this.#settleLimits(nowMs);
    this.#tellPartial(nowMs);
  }

  /** Pools come and go with their engines. */
  #followPools(): void {
    const present = new Set(this.#options.pools);
    for (const [pool, name] of this.#pools) {
      if (present.has(pool)) continue;
      this.#replica.removePool(name);
      pool.sessions.sharing = null;
      this.#pools.delete(pool);
    }
    for (const pool of present) {
      if (this.#pools.has(pool)) continue;
      const name = this.#freeName(pool.name);
      this.#pools.set(pool, name);
      this.#replica.addPool(name, pool.router);
      pool.sessions.sharing = { nameOf: sessionName, placed: (name, worker) => this.#pins.placed(name, worker.id) };
    }
  }

  /** A pool keeps the name of a model that its engines may have unloaded, and another pool may serve now. */
  #freeName(name: string): string {
    const taken = new Set(this.#pools.values());
    let free = name;
    for (let number = 2; taken.has(free); number++) free = `${name} ${number}`;
    return free;
  }

  #settleLimits(nowMs: number): void {
    const { link, uses } = this.#options;
    const own = uses(nowMs);
    const isConnected = link.status.state === 'connected';
    this.shares.settle(own, isConnected ? new Set(this.#here()) : null);
    if (own.size > 0) link.publish('limits', this.shares.write(own));
  }

  #tellPartial(nowMs: number): void {
    const { partial, replicas, expected } = this.view;
    if (partial === this.#isPartial || nowMs - this.#openedMs < foundMsMax) return;
    this.#isPartial = partial;
    const line = { replicas, expected };
    const { log } = this.#options;
    if (partial) log.warn(line, 'replicas are missing: own load stands for theirs where load is compared with a limit');
    else log.info(line, 'all replicas are heard');
  }

  /** Ids of the other replicas that are there, those that started first in front. */
  #here(): string[] {
    const here = this.view.origins.filter(({ state }) => state === 'here');
    return here.toSorted((a, b) => a.epoch - b.epoch).map(({ origin }) => origin);
  }

  #isHere(replica: string): boolean {
    return this.#replica.origin(replica)?.state === 'here';
  }

  #pinned(name: string, workerId: string): void {
    const placed = this.#placed(workerId);
    placed?.pool.sessions.placedElsewhere(name, placed.worker, performance.now());
  }

  #placed(workerId: string): Placed | undefined {
    this.#workers ??= new Map(
      [...this.#options.pools].flatMap((pool) => [...pool.workers].map((worker) => [worker.id, { pool, worker }])),
    );
    return this.#workers.get(workerId);
  }

  /** At the end of this turn of the event loop, or when the pace allows. */
  #flushSoon(): void {
    const waitMs = this.#pace.waitMs(performance.now(), this.#replica.isUrgent);
    clearTimeout(this.#waiting);
    if (waitMs === 0) setImmediate(this.#flush);
    else this.#waiting = setTimeout(this.#flush, waitMs);
  }

  readonly #flush = (): void => {
    const nowMs = performance.now();
    clearTimeout(this.#waiting);
    this.#guard(() => this.#send(this.#replica.flush(nowMs), nowMs));
  };

  #send(messages: readonly Uint8Array[], nowMs: number): void {
    if (messages.length > 0) this.#pace.sent(nowMs);
    for (const message of messages) this.#options.link.publish('load', message);
  }

  /** A fault in sharing must not end the process: serving goes on without. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      const more = this.#failureRate.admit();
      if (more === null) return;
      this.#options.log.error({ err: error, ...(more > 0 && { more }) }, 'sharing with replicas: internal error');
    }
  }
}
