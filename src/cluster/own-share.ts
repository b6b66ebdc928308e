// What this replica tells the others: totals of the workers that changed, and the prompts that it has sent.
//
// The routers are the truth: totals are read from them when a message is written, so what is sent cannot drift from
// what is booked.

import { sampledBlocks } from '../core/blocks/sampled-chain.ts';
import { newTokensMin } from '../core/choice/agreement.ts';
import type { BookingRecord } from '../core/ledger/active-blocks.ts';
import { type ActiveChain, RouterChains } from '../core/ledger/common-blocks.ts';
import type { Router } from '../core/router.ts';
import { type LoadTotals, noLoad } from '../core/shared-load.ts';
import type { BlockHashes, WorkerIndex } from '../core/types.ts';
import { ByteWriter } from './byte-writer.ts';
import { writeAdded, writeGauge, writeHead, writeLoad, writeTable } from './encode-message.ts';
import {
  nameBytesMax,
  poolsMax,
  promptsMax,
  runningPromptsMax,
  sharedWorkersMax,
  tableBytesMax,
  totalMax,
} from './limits.ts';
import type { MessageHead, Table, Total, WorkerName } from './message.ts';

/** How much of a prompt's blocks is told: all, some (see core/blocks/sampled-chain), or nothing. */
export type ChainForm = 'whole' | 'sampled' | 'off';

type MutableTotals = { -readonly [Key in keyof LoadTotals]: number };

interface SentPrompt {
  readonly worker: WorkerIndex;
  readonly hashes: BlockHashes;
  readonly samples: Uint32Array;
  readonly chain: ActiveChain;
  isTold: boolean;
  isComputed: boolean;
}

/** The part of one pool. */
class PoolShare {
  readonly name: string;
  readonly router: Router;
  /** Position of each worker in the table. */
  at = new Map<WorkerIndex, number>();
  workersVersion = -1;
  /** Position in the table. -1: not in it. */
  position = -1;
  readonly changed = new Set<WorkerIndex>();
  /** Prompts of requests in flight by number. */
  readonly prompts = new Map<number, SentPrompt>();
  readonly chains = new RouterChains();
  /** Numbers of prompts that may be in computation and are not told yet. */
  readonly untold: number[] = [];
  readonly computed: number[] = [];
  readonly ended: number[] = [];

  constructor(name: string, router: Router) {
    this.name = name;
    this.router = router;
  }

  /** Everything that has changed is told. */
  clear(): void {
    this.changed.clear();
    this.untold.length = 0;
    this.computed.length = 0;
    this.ended.length = 0;
  }
}

export class OwnShare {
  /** Called synchronously at the first change since the last message, and at the first urgent one. */
  onChange: () => void = () => undefined;
  /** Prompts and workers that were not told for want of room. */
  unsent = 0;
  readonly #chains: ChainForm;
  readonly #pools: PoolShare[] = [];
  /** Prompts that are being computed, and those that are computed, of all pools. */
  #computing = 0;
  #running = 0;
  readonly #writer = new ByteWriter();
  readonly #load: MutableTotals = { ...noLoad };
  #isChanged = false;
  #isUrgent = false;
  /** The table that the others have, or should have. */
  #table: Table = { version: 0, pools: [], workers: [] };
  /** Pool and index of each worker of the table. */
  #places: { readonly pool: PoolShare; readonly worker: WorkerIndex }[] = [];
  #tableBytes: Uint8Array = new Uint8Array(0);
  #isStale = true;

  constructor(chains: ChainForm) {
    this.#chains = chains;
  }

  addPool(name: string, router: Router): void {
    const pool = new PoolShare(name, router);
    this.#pools.push(pool);
    this.#isStale = true;
    router.shared.observer = {
      booked: (record) => this.#booked(pool, record),
      computed: (record) => this.#computed(pool, record),
      ended: (record) => this.#ended(pool, record),
    };
  }

  removePool(name: string): void {
    const at = this.#pools.findIndex((pool) => pool.name === name);
    if (at < 0) return;
    const pool = this.#pools[at]!;
    pool.router.shared.observer = null;
    for (const prompt of pool.prompts.values()) this.#forget(pool, prompt);
    this.#pools.splice(at, 1);
    this.#isStale = true;
  }

  /** Whether workers have come or gone since the last gauge: the next message must be a gauge. */
  get needsGauge(): boolean {
    return this.#isStale || this.#pools.some((pool) => pool.workersVersion !== pool.router.shared.workersVersion);
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** Since the last message a prompt was sent of which much is to be computed. */
  get isUrgent(): boolean {
    return this.#isUrgent;
  }

  /** Running requests of this replica on all workers of the table. */
  runningRequests(): number {
    let sum = 0;
    const load = { ...noLoad };
    for (const pool of this.#pools) {
      for (const worker of pool.router.shared.workers()) {
        pool.router.shared.readOwn(worker, load);
        sum += load.runningRequests;
      }
    }
    return sum;
  }

  gauge(head: MessageHead, about: string): Uint8Array {
    if (this.needsGauge) this.#renewTable();
    const writer = this.#writer;
    writer.clear();
    writeHead(writer, 'gauge', head);
    const totals = this.#places.map(({ pool, worker }, at): Total => {
      readCapped(pool, worker, this.#load);
      return { at, ...this.#load };
    });
    const computing: number[][] = this.#table.pools.map(() => []);
    const running: number[][] = this.#table.pools.map(() => []);
    for (const pool of this.#pools) {
      if (pool.position < 0) continue;
      for (const [number, { isTold, isComputed }] of pool.prompts) {
        if (isTold) (isComputed ? running : computing)[pool.position]!.push(number);
      }
    }
    writeGauge(writer, { kind: 'gauge', about, table: this.#table, totals, computing, running }, this.#tableBytes);
    return writer.take();
  }

  /** Call `gauge` first if `needsGauge`. */
  delta(head: MessageHead): Uint8Array {
    const writer = this.#writer;
    writer.clear();
    writeHead(writer, 'delta', head);
    writer.integer(this.#table.version);
    this.#writeTotals();
    this.#writeIds('computed');
    this.#writeIds('ended');
    for (const pool of this.#pools) {
      for (const number of pool.untold) this.#writeAdded(pool, number);
    }
    this.#isChanged = false;
    this.#isUrgent = false;
    for (const pool of this.#pools) pool.clear();
    return writer.take();
  }

  #writeTotals(): void {
    const writer = this.#writer;
    let count = 0;
    for (const pool of this.#pools) for (const worker of pool.changed) if (pool.at.has(worker)) count++;
    writer.integer(count);
    for (const pool of this.#pools) {
      for (const worker of pool.changed) {
        const at = pool.at.get(worker);
        if (at === undefined) continue;
        writer.integer(at);
        readCapped(pool, worker, this.#load);
        writeLoad(writer, this.#load);
      }
    }
  }

  #writeIds(list: 'computed' | 'ended'): void {
    const writer = this.#writer;
    let count = 0;
    for (const pool of this.#pools) count += pool[list].length;
    writer.integer(count);
    for (const pool of this.#pools) {
      for (const number of pool[list]) {
        writer.integer(pool.position);
        writer.integer(number);
      }
    }
  }

  #booked(pool: PoolShare, record: BookingRecord): void {
    const { worker, hashes, order } = record;
    pool.changed.add(worker);
    this.#change();
    if (this.#chains === 'off' || hashes.count === 0 || record.hadFirstToken) return;
    if (this.#computing >= promptsMax) {
      this.unsent++;
      return;
    }
    this.#computing++;
    const samples = sampledBlocks(hashes);
    const chain = pool.router.shared.common.add(pool.chains, worker, samples);
    pool.prompts.set(order, { worker, hashes, samples, chain, isTold: false, isComputed: false });
    pool.untold.push(order);
    if (record.uncachedTokens < newTokensMin || this.#isUrgent) return;
    this.#isUrgent = true;
    this.onChange();
  }

  #computed(pool: PoolShare, { worker, order }: BookingRecord): void {
    pool.changed.add(worker);
    this.#change();
    const prompt = pool.prompts.get(order);
    if (!prompt) return;
    if (prompt.isTold && pool.position >= 0) pool.computed.push(order);
    this.#computing--;
    this.#running++;
    prompt.isComputed = true;
    if (this.#running > runningPromptsMax) this.#drop(pool, prompt, order);
  }

  #ended(pool: PoolShare, { worker, order }: BookingRecord): void {
    pool.changed.add(worker);
    this.#change();
    const prompt = pool.prompts.get(order);
    if (prompt) this.#drop(pool, prompt, order);
  }

  #drop(pool: PoolShare, prompt: SentPrompt, order: number): void {
    pool.prompts.delete(order);
    this.#forget(pool, prompt);
    if (prompt.isTold && pool.position >= 0) pool.ended.push(order);
  }

  #forget(pool: PoolShare, { chain, isComputed }: SentPrompt): void {
    if (isComputed) this.#running--;
    else this.#computing--;
    pool.router.shared.common.remove(chain);
  }

  #change(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    this.onChange();
  }

  #writeAdded(pool: PoolShare, number: number): void {
    const prompt = pool.prompts.get(number);
    if (prompt === undefined || prompt.isComputed) return;
    const { worker, hashes, samples } = prompt;
    const at = pool.at.get(worker);
    if (at === undefined) return;
    prompt.isTold = true;
    // A worker without events keeps a mirror of whole chains.
    const sampled = this.#chains === 'sampled' && pool.router.shared.source(worker) === 'events';
    const count = sampled ? samples.length >>> 1 : hashes.count;
    const sequence = sampled ? samples : hashes.sequence;
    const added = { at, number, blockSize: hashes.blockSize, sampled };
    if (!writeAdded(this.#writer, added, sequence, count)) this.unsent++;
  }

  #renewTable(): void {
    const pools: string[] = [];
    const workers: WorkerName[] = [];
    this.#places = [];
    let bytes = 0;
    for (const pool of this.#pools) {
      const { shared } = pool.router;
      pool.workersVersion = shared.workersVersion;
      pool.at = new Map();
      pool.position = -1;
      if (pools.length >= poolsMax || isTooLong(pool.name)) continue;
      bytes += nameBytes(pool.name);
      pool.position = pools.push(pool.name) - 1;
      for (const worker of shared.workers()) {
        const id = shared.id(worker);
        const more = nameBytes(id);
        if (workers.length >= sharedWorkersMax || isTooLong(id) || bytes + more > tableBytesMax - 1024) {
          this.unsent++;
          continue;
        }
        bytes += more;
        pool.at.set(worker, workers.push({ pool: pool.position, worker: id }) - 1);
        this.#places.push({ pool, worker });
      }
    }
    this.#table = { version: this.#table.version + 1, pools, workers };
    const writer = this.#writer;
    writer.clear();
    writeTable(writer, this.#table);
    this.#tableBytes = writer.take();
    this.#isStale = false;
  }
}

const encoder = new TextEncoder();

/** Bytes that a worker takes in the table, at most. */
function nameBytes(name: string): number {
  return encoder.encode(name).length + 8;
}

function isTooLong(name: string): boolean {
  return encoder.encode(name).length > nameBytesMax;
}

function readCapped({ router }: PoolShare, worker: WorkerIndex, load: MutableTotals): void {
  router.shared.readOwn(worker, load);
  load.activeTokens = Math.min(load.activeTokens, totalMax);
  load.ownTokens = Math.min(load.ownTokens, totalMax);
  load.prefillTokens = Math.min(load.prefillTokens, totalMax);
  load.prefillPairs = Math.min(load.prefillPairs, totalMax);
}
