// What is known of one other replica: its load on each worker, and the prompts that it has sent.

import type { Router } from '../core/router.ts';
import { type LoadTotals, noLoad, type OthersPrompt } from '../core/shared-load.ts';
import type { WorkerIndex } from '../core/types.ts';
import { allPromisedBlocksMax, allPromptsMax, promisedBlocksMax, promptsMax } from './limits.ts';
import type { Added, Delta, Gauge, PromptId, Table } from './message.ts';

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

interface Promised {
  readonly router: Router;
  readonly prompt: OthersPrompt;
  readonly blocks: number;
}

/** What all origins take together. */
export class OriginsUse {
  workers = 0;
  prompts = 0;
  blocks = 0;
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
  readonly #promised: Map<number, Promised>[] = [];
  #promisedCount = 0;
  #promisedBlocks = 0;
  readonly #all: OriginsUse;

  /** @param all has this origin's part as well, until `drop` */
  constructor(name: string, all: OriginsUse) {
    this.name = name;
    this.#all = all;
  }

  get promisedPrompts(): number {
    return this.#promisedCount;
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

  gauge({ table, totals, computing }: Gauge, pools: Pools, nowMs: number): void {
    if (this.table !== table) this.#setTable(table, pools, nowMs);
    this.correctedTokens = 0;
    for (const total of totals) {
      const { told } = this.#places[total.at]!;
      this.correctedTokens +=
        Math.abs(total.activeTokens - told.activeTokens) + Math.abs(total.prefillTokens - told.prefillTokens);
      this.#count(total.at, total, nowMs);
    }
    for (const [pool, promised] of this.#promised.entries()) {
      const live = new Set(computing[pool]);
      // What is not listed was computed or freed by a message that is missing; events announce it if it was computed.
      for (const number of promised.keys()) if (!live.has(number)) this.#end({ pool, number }, 'freed', nowMs);
    }
  }

  /** Without its table nothing of a delta can be read; the next gauge has it. */
  delta({ tableVersion, totals, added, computed, freed }: Delta, nowMs: number): void {
    if (this.table === null || this.table.version !== tableVersion) return;
    for (const total of totals) if (total.at < this.#places.length) this.#count(total.at, total, nowMs);
    for (const id of computed) this.#end(id, 'computed', nowMs);
    for (const id of freed) this.#end(id, 'freed', nowMs);
    for (const one of added) this.#add(one);
  }

  /** Removes its load and its promises. What comes later starts from nothing. */
  drop(nowMs: number): void {
    for (const [at] of this.#places.entries()) this.#count(at, noLoad, nowMs);
    for (const [pool, promised] of this.#promised.entries()) {
      for (const number of promised.keys()) this.#end({ pool, number }, 'freed', nowMs);
    }
    this.#all.workers -= this.#places.length;
    this.#places = [];
    this.#promised.length = 0;
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
    for (const _ of table.pools) this.#promised.push(new Map());
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
    const promised = this.#promised[poolAt];
    const all = this.#all;
    const isFull =
      this.#promisedCount >= promptsMax ||
      this.#promisedBlocks + blocks > promisedBlocksMax ||
      all.prompts >= allPromptsMax ||
      all.blocks + blocks > allPromisedBlocksMax;
    if (!place?.router || place.index < 0 || promised === undefined || isFull || promised.has(number)) {
      this.counts.unpromised++;
      return;
    }
    const prompt = place.router.shared.promise(place.index, sequence, blockSize, sampled);
    if (prompt === null) {
      this.counts.unpromised++;
      return;
    }
    promised.set(number, { router: place.router, prompt, blocks });
    this.#promisedCount++;
    this.#promisedBlocks += blocks;
    all.prompts++;
    all.blocks += blocks;
  }

  #end({ pool, number }: PromptId, how: 'computed' | 'freed', nowMs: number): void {
    const promised = this.#promised[pool]?.get(number);
    if (promised === undefined) return;
    this.#promised[pool]!.delete(number);
    this.#promisedCount--;
    this.#promisedBlocks -= promised.blocks;
    this.#all.prompts--;
    this.#all.blocks -= promised.blocks;
    const { shared } = promised.router;
    if (how === 'computed') shared.computed(promised.prompt, nowMs);
    else shared.withdraw(promised.prompt);
  }
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
