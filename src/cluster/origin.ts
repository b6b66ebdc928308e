// What is known of one other replica: its load on each worker, and the prompts that it has sent.

import { RouterChains } from '../core/ledger/common-blocks.ts';
import type { Router } from '../core/router.ts';
import { type LoadTotals, noLoad, type OthersPrompt } from '../core/shared-load.ts';
import type { WorkerIndex } from '../core/types.ts';
import {
  allPromisedBlocksMax,
  allPromptsMax,
  allRunningPromptsMax,
  promisedBlocksMax,
  promptsMax,
  runningPromptsMax,
} from './limits.ts';
import type { Added, Delta, Gauge, Table } from './message.ts';

/** Pools of this replica by name. */
export type Pools = ReadonlyMap<string, Router>;

/** A worker of the origin's table, and the load booked for it here. */
interface Place {
  readonly pool: string;
  readonly worker: string;
  /** Null: this replica has no such worker. */
  router: Router | null;
  index: WorkerIndex;
  incarnation: number;
  /** What the origin said last. */
  told: LoadTotals;
  /** What is counted in the router. */
  counted: LoadTotals;
}

/** The prompt of a request in flight. */
interface Sent {
  readonly router: Router;
  readonly prompt: OthersPrompt;
  readonly blocks: number;
  isComputed: boolean;
}

/** What all origins take together. */
export class OriginsUse {
  workers = 0;
  /** Prompts being computed, and their blocks. */
  prompts = 0;
  blocks = 0;
  /** Prompts that are computed. */
  running = 0;

  begin(blocks: number): void {
    this.prompts++;
    this.blocks += blocks;
  }

  computed(blocks: number): void {
    this.prompts--;
    this.blocks -= blocks;
    this.running++;
  }

  end({ isComputed, blocks }: Sent): void {
    if (isComputed) {
      this.running--;
      return;
    }
    this.prompts--;
    this.blocks -= blocks;
  }
}

/** Counts over the life of the origin's name. */
export class OriginCounts {
  messages = 0;
  /** Messages that were missing when a later one came. */
  gaps = 0;
  /** Gauges that came after a gap, and made the view whole again. */
  healed = 0;
  /** Doubled, late, or of an earlier epoch. */
  old = 0;
  /** New epochs of a name that was known. */
  resets = 0;
  /** Times that it fell silent. */
  lost = 0;
  /** Prompts that were not counted: beyond a limit, or of a worker that is not known here. */
  unpromised = 0;
}

export class Origin {
  readonly name: string;
  readonly counts: OriginCounts = new OriginCounts();
  epoch = 0;
  sequence = 0;
  about = '';
  heardMs = 0;
  gaugeAtMs = 0;
  /** Since the last gauge a message was missing. */
  hasGap = false;
  /** `here`: heard of late. `left`: said goodbye. `lost`: fell silent. */
  state: 'here' | 'left' | 'lost' = 'here';
  /** How far the view had been from the totals of the latest gauge: tokens, over all workers. */
  correctedTokens = 0;
  table: Table | null = null;
  #places: Place[] = [];
  /** By pool of the table, then by number. */
  #sent: Map<number, Sent>[] = [];
  readonly #chains = new Map<Router, RouterChains>();
  /** Whether it tells when the request of a computed prompt ends. */
  #tellsEnds = false;
  readonly #use = new OriginsUse();
  readonly #all: OriginsUse;

  /** @param all has this origin's part as well, until `drop` */
  constructor(name: string, all: OriginsUse) {
    this.name = name;
    this.#all = all;
  }

  get promisedPrompts(): number {
    return this.#use.prompts;
  }

  /** Computed prompts of requests in flight. */
  get runningPrompts(): number {
    return this.#use.running;
  }

  /** Requests in flight that are counted here. */
  get runningRequests(): number {
    let sum = 0;
    for (const { counted } of this.#places) sum += counted.runningRequests;
    return sum;
  }

  /** Ids of its workers that this replica has not. Their load is not counted. */
  strangeWorkers(): string[] {
    return this.#places.filter(({ index }) => index < 0).map(({ worker }) => worker);
  }

  gauge({ table, totals, computing, running }: Gauge, pools: Pools, nowMs: number): void {
    this.#tellsEnds = running !== null;
    if (this.table !== table) this.#setTable(table, pools, nowMs);
    this.correctedTokens = 0;
    for (const total of totals) {
      const { told } = this.#places[total.at]!;
      this.correctedTokens +=
        Math.abs(total.activeTokens - told.activeTokens) + Math.abs(total.prefillTokens - told.prefillTokens);
      this.#count(total.at, total, nowMs);
    }
    for (let pool = 0; pool < this.#sent.length; pool++) {
      this.#keepListed(pool, computing[pool]!, running?.[pool] ?? [], nowMs);
    }
  }

  /** Ends the prompts that are in neither list: the message about their end is missing. */
  #keepListed(pool: number, computing: readonly number[], running: readonly number[], nowMs: number): void {
    const sent = this.#sent[pool]!;
    let listed = 0;
    for (const number of running) {
      if (!sent.has(number)) continue;
      this.#computed(pool, number, nowMs);
      if (sent.has(number)) listed++;
    }
    for (const number of computing) if (sent.get(number)?.isComputed === false) listed++;
    // Nearly always, since messages are rarely lost.
    if (listed === sent.size) return;
    for (const [number, { isComputed }] of sent) {
      if (!isIn(isComputed ? running : computing, number)) this.#end(pool, number);
    }
  }

  /** Without its table nothing of a delta can be read; the next gauge has it. */
  delta({ tableVersion, totals, added, computed, ended }: Delta, nowMs: number): void {
    if (this.table === null || this.table.version !== tableVersion) return;
    for (const total of totals) if (total.at < this.#places.length) this.#count(total.at, total, nowMs);
    for (let i = 0; i < computed.length; i += 2) this.#computed(computed[i]!, computed[i + 1]!, nowMs);
    for (let i = 0; i < ended.length; i += 2) this.#end(ended[i]!, ended[i + 1]!);
    for (const one of added) this.#add(one);
  }

  /** Removes its load and its promises. What comes later starts from nothing. */
  drop(nowMs: number): void {
    for (const [at] of this.#places.entries()) this.#count(at, noLoad, nowMs);
    for (const [pool, sent] of this.#sent.entries()) {
      for (const number of sent.keys()) this.#end(pool, number);
    }
    this.#all.workers -= this.#places.length;
    this.#places = [];
    this.#sent = [];
    this.#chains.clear();
    this.table = null;
    this.hasGap = false;
  }

  /** Workers or pools of this replica have come or gone: counts every load where its worker is now. */
  resolve(pools: Pools, nowMs: number): void {
    for (const place of this.#places) {
      const router = routerOf(pools, place);
      const index = router?.shared.find(place.worker);
      const isSame =
        router === place.router &&
        (index === undefined ? place.index < 0 : index === place.index) &&
        (index === undefined || router!.shared.incarnation(index) === place.incarnation);
      if (isSame) continue;
      // A worker that is gone took its columns with it; one that stays in a removed pool is of no interest.
      place.router = router;
      place.index = index ?? -1;
      place.incarnation = index === undefined ? 0 : router!.shared.incarnation(index);
      place.counted = noLoad;
    }
    for (const [at, { told }] of this.#places.entries()) this.#count(at, told, nowMs);
  }

  /** Load of the origin on one worker, as it is counted here, for tests and `view`. */
  countedOn(pool: string, worker: string): Readonly<LoadTotals> {
    return this.#places.find((place) => place.pool === pool && place.worker === worker)?.counted ?? noLoad;
  }

  #setTable(table: Table, pools: Pools, nowMs: number): void {
    const told = new Map(this.#places.map((place) => [`${place.pool}\n${place.worker}`, place.told]));
    this.drop(nowMs);
    this.table = table;
    this.#places = table.workers.map(({ pool, worker }) => {
      const name = table.pools[pool]!;
      const load = told.get(`${name}\n${worker}`) ?? noLoad;
      return { pool: name, worker, router: null, index: -1, incarnation: 0, told: load, counted: noLoad };
    });
    this.#all.workers += this.#places.length;
    this.#sent = table.pools.map(() => new Map());
    this.resolve(pools, nowMs);
  }

  #count(at: number, to: LoadTotals, nowMs: number): void {
    const place = this.#places[at]!;
    place.told = to;
    if (place.router === null || place.index < 0) return;
    place.router.shared.change(place.index, place.counted, to, nowMs);
    place.counted = to;
  }

  #add({ at, number, blockSize, sampled, sequence }: Added): void {
    const place = this.#places[at];
    const blocks = sequence.length >>> 1;
    const poolAt = this.table!.workers[at]?.pool ?? 0;
    const sent = this.#sent[poolAt];
    const all = this.#all;
    const isFull =
      this.#use.prompts >= promptsMax ||
      this.#use.blocks + blocks > promisedBlocksMax ||
      all.prompts >= allPromptsMax ||
      all.blocks + blocks > allPromisedBlocksMax;
    if (!place?.router || place.index < 0 || sent === undefined || isFull || sent.has(number)) {
      this.counts.unpromised++;
      return;
    }
    const { router, index } = place;
    const prompt = router.shared.begun(this.#chainsIn(router), index, sequence, blockSize, sampled);
    if (prompt === null) {
      this.counts.unpromised++;
      return;
    }
    sent.set(number, { router, prompt, blocks, isComputed: false });
    this.#use.begin(blocks);
    all.begin(blocks);
  }

  #chainsIn(router: Router): RouterChains {
    const known = this.#chains.get(router);
    if (known) return known;
    const chains = new RouterChains();
    this.#chains.set(router, chains);
    return chains;
  }

  #computed(pool: number, number: number, nowMs: number): void {
    const sent = this.#sent[pool]?.get(number);
    if (sent === undefined || sent.isComputed) return;
    sent.router.shared.computed(sent.prompt, nowMs);
    sent.isComputed = true;
    this.#use.computed(sent.blocks);
    this.#all.computed(sent.blocks);
    const isFull = this.#use.running > runningPromptsMax || this.#all.running > allRunningPromptsMax;
    if (isFull || !this.#tellsEnds) this.#end(pool, number);
  }

  #end(pool: number, number: number): void {
    const sent = this.#sent[pool]?.get(number);
    if (sent === undefined) return;
    this.#sent[pool]!.delete(number);
    sent.router.shared.ended(sent.prompt);
    this.#use.end(sent);
    this.#all.end(sent);
  }
}

/** O(log numbers) @param numbers in order */
function isIn(numbers: readonly number[], number: number): boolean {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! < number) low = middle + 1;
    else high = middle;
  }
  return numbers[low] === number;
}

/**
 * A worker is in one pool of each replica, but the pool may have another name there: it is that of the first engine that
 * joined.
 */
function routerOf(pools: Pools, { pool, worker }: Pick<Place, 'pool' | 'worker'>): Router | null {
  const named = pools.get(pool) ?? null;
  if (named?.shared.find(worker) !== undefined) return named;
  for (const router of pools.values()) if (router.shared.find(worker) !== undefined) return router;
  return named;
}
