// Decides what each step of an engine computes: continuous batching with chunked prefill, as vLLM schedules.

import { assert } from '../core/assert.ts';
import type { BlocksStored, KvEvent } from '../core/types.ts';
import { BlockPool } from './block-pool.ts';
import type { EngineRequest } from './engine-request.ts';
import type { StepLoad } from './step-time.ts';
import { precedes, type QueueOrder, WaitingQueue } from './waiting-queue.ts';

export interface SchedulerOptions {
  /** Tokens in a block. */
  readonly blockSize: number;
  /** Blocks of the pool, the null block included. */
  readonly blocks: number;
  /** Budget of one step in tokens. */
  readonly stepTokensMax: number;
  /** Sequences that run at the same time. */
  readonly sequencesMax: number;
  readonly order: QueueOrder;
  /** Admit a request only when the whole of it fits the free blocks, not just its first chunk. */
  readonly reserveWholePrompt: boolean;
  /** See BlockPool. */
  readonly freeUnhashedFirst: boolean;
  /** Blocks that go one after another share a removed event; engines send one for each. */
  readonly joinRemovals: boolean;
}

/** Totals since the start, in tokens unless named otherwise. */
export interface PrefixCacheCounters {
  /** Tokens looked up in the prefix cache; a request that waits at the head is looked up in every step. */
  queriedTokens: number;
  hitTokens: number;
  preemptions: number;
}

/**
 * Order inside `events` is the order of scheduling: for each request first what its blocks evicted, then what it
 * stores. Blocks count as stored when they are scheduled, so a later request of the same step can hit them.
 */
export class Scheduler {
  readonly counters: PrefixCacheCounters = { queriedTokens: 0, hitTokens: 0, preemptions: 0 };
  /** What the last call of `schedule` put into the step, in order. */
  readonly scheduled: EngineRequest[] = [];
  /** Preempted by the last call of `schedule`. */
  readonly preempted: EngineRequest[] = [];
  readonly load: StepLoad = {
    tokens: 0,
    prefillTokens: 0,
    prefillPairs: 0,
    decodeContextTokens: 0,
    sequences: 0,
    sampled: 0,
  };

  readonly #options: SchedulerOptions;
  readonly #pool: BlockPool;
  readonly #waiting: WaitingQueue;
  readonly #running: EngineRequest[] = [];
  #events: KvEvent[] = [];
  /** Hashes (low, high) of evicted blocks that are not announced yet. */
  readonly #removed: number[] = [];

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#waiting = new WaitingQueue(options.order);
    this.#pool = new BlockPool(options.blocks, options.freeUnhashedFirst, (low, high) => {
      this.#removed.push(low, high);
    });
  }

  get pool(): BlockPool {
    return this.#pool;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get runningCount(): number {
    return this.#running.length;
  }

  enqueue(request: EngineRequest): void {
    this.#waiting.push(request);
  }

  /** Takes a request out, whether it waits or runs; its blocks become free. */
  remove(request: EngineRequest): void {
    if (request.status !== 'running') {
      this.#waiting.remove(request);
      return;
    }
    this.#running.splice(this.#running.indexOf(request), 1);
    this.#freeBlocks(request);
  }

  /** Everything announced since the last call. */
  takeEvents(): KvEvent[] {
    this.#announceRemoved();
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Drops all cached content. Refused (false) while blocks are in use; `preemptRunning` makes them free first. */
  resetPrefixCache(preemptRunning: boolean): boolean {
    if (preemptRunning) {
      for (let request = this.#running.pop(); request; request = this.#running.pop()) this.#preempt(request);
    }
    if (!this.#pool.clear()) return false;
    this.#announceRemoved();
    this.#events.push({ kind: 'cleared' });
    return true;
  }

  /** Fills `scheduled`, `preempted` and `load` for the next step, and moves the requests' `computedTokens` ahead. */
  schedule(): void {
    this.scheduled.length = 0;
    this.preempted.length = 0;
    const budget = this.#scheduleRunning(this.#options.stepTokensMax);
    if (this.preempted.length === 0) this.#admitWaiting(budget);
    this.#measure();
  }

  /** @throws Error if a block is neither free nor in use, or both. */
  assertConsistent(): void {
    const used = new Set<number>();
    for (const request of this.#running) {
      for (let index = 0; index < request.blockCount; index++) used.add(request.blocks[index]!);
    }
    const free = this.#pool.freeQueue();
    assert(free.length === this.#pool.freeCount, 'the queue of free blocks is as long as it says');
    assert(free.length + used.size === this.#pool.blockCount - 1, 'every block is either free or in use');
    assert(!free.some((block) => used.has(block)), 'no block in use is free');
  }

  /** Running requests go first, so that decodes are never starved by new prefills. Returns the budget left. */
  #scheduleRunning(stepTokens: number): number {
    let budget = stepTokens;
    for (let index = 0; index < this.#running.length && budget > 0; index++) {
      const request = this.#running[index]!;
      const tokens = Math.min(request.tokenCount - request.computedTokens, budget);
      while (!this.#hold(request, tokens)) {
        const victim = this.#pickVictim();
        const position = this.#running.indexOf(victim);
        this.#running.splice(position, 1);
        if (position <= index) index--;
        budget += this.#unschedule(victim);
        this.#preempt(victim);
        if (victim === request) return budget;
      }
      budget -= this.#take(request, tokens);
    }
    return budget;
  }

  #admitWaiting(stepBudget: number): void {
    let budget = stepBudget;
    while (budget > 0 && this.#running.length < this.#options.sequencesMax) {
      const request = this.#waiting.front();
      if (request === undefined) return;
      const hits = request.recomputed ? 0 : this.#matchPrefix(request);
      const hitTokens = hits * this.#options.blockSize;
      if (!request.recomputed) this.counters.queriedTokens += request.tokenCount;
      this.counters.hitTokens += hitTokens;
      const tokens = Math.min(request.tokenCount - hitTokens, budget);
      const wanted = this.#options.reserveWholePrompt ? request.tokenCount : hitTokens + tokens;
      if (this.#blocksFor(wanted) - hits > this.#freeBesides(request, hits)) return;
      for (let block = 0; block < hits; block++) this.#pool.touch(request.blocks[block]!);
      request.blockCount = hits;
      request.storedBlocks = hits;
      request.computedTokens = hitTokens;
      if (request.cachedTokens === -1) request.cachedTokens = hitTokens;
      const held = this.#hold(request, tokens);
      assert(held, 'blocks that were counted as free can be held');
      this.#waiting.popFront();
      this.#running.push(request);
      request.status = 'running';
      budget -= this.#take(request, tokens);
    }
  }

  /**
   * Puts the blocks of the longest cached run of full blocks into `request.blocks`, not yet held, and counts them.
   * One token at least stays to be computed: its output is what gets sampled.
   */
  #matchPrefix(request: EngineRequest): number {
    const { blockSize } = this.#options;
    const blocksMax = Math.floor((request.tokenCount - 1) / blockSize);
    request.blockCount = 0;
    for (let index = 0; index < blocksMax; index++) {
      request.hashTo(index + 1, blockSize);
      const block = this.#pool.find(request.hashes[index * 2]!, request.hashes[index * 2 + 1]!);
      if (block === 0) break;
      request.appendBlock(block);
    }
    const hits = request.blockCount;
    request.blockCount = 0;
    return hits;
  }

  /** Free blocks that are not among the hits. */
  #freeBesides(request: EngineRequest, hits: number): number {
    let free = this.#pool.freeCount;
    for (let index = 0; index < hits; index++) if (this.#pool.isFree(request.blocks[index]!)) free--;
    return free;
  }

  /** Makes the request hold the blocks for its next `tokens` tokens; false (and nothing done) if they aren't free. */
  #hold(request: EngineRequest, tokens: number): boolean {
    const missing = this.#blocksFor(request.computedTokens + tokens) - request.blockCount;
    if (missing > this.#pool.freeCount) return false;
    for (let i = 0; i < missing; i++) request.appendBlock(this.#pool.allocate());
    return true;
  }

  /** Counts `tokens` of the request as scheduled and stores the blocks that they fill. Returns `tokens`. */
  #take(request: EngineRequest, tokens: number): number {
    request.scheduledTokens = tokens;
    request.computedTokens += tokens;
    this.scheduled.push(request);
    const full = Math.floor(request.computedTokens / this.#options.blockSize);
    if (full > request.storedBlocks) this.#store(request, full);
    return tokens;
  }

  #store(request: EngineRequest, full: number): void {
    const { blockSize } = this.#options;
    const from = request.storedBlocks;
    request.hashTo(full, blockSize);
    const { hashes } = request;
    for (let block = from; block < full; block++) {
      this.#pool.cache(request.blocks[block]!, hashes[block * 2]!, hashes[block * 2 + 1]!);
    }
    request.storedBlocks = full;
    // Views, not copies: hashes and tokens never change once written.
    const stored = hashes.subarray(from * 2, full * 2);
    const event: BlocksStored = {
      kind: 'stored',
      hashes: stored,
      parent: from === 0 ? null : hashes.subarray(from * 2 - 2, from * 2),
      tokens: request.tokens.subarray(from * blockSize, full * blockSize),
      blockSize,
      lora: request.lora,
      salt: from === 0 ? request.salt : null,
      extras: null,
      ...(request.isHashedOnly ? { sequence: stored } : {}),
    };
    this.#announceRemoved();
    this.#events.push(event);
  }

  #announceRemoved(): void {
    const removed = this.#removed;
    if (removed.length === 0) return;
    if (this.#options.joinRemovals) this.#events.push({ kind: 'removed', hashes: new Uint32Array(removed) });
    else {
      for (let at = 0; at < removed.length; at += 2) {
        this.#events.push({ kind: 'removed', hashes: Uint32Array.of(removed[at]!, removed[at + 1]!) });
      }
    }
    removed.length = 0;
  }

  #pickVictim(): EngineRequest {
    let victim = this.#running[this.#running.length - 1]!;
    if (this.#options.order === 'fcfs') return victim;
    for (const request of this.#running) if (precedes(victim, request)) victim = request;
    return victim;
  }

  /** Takes a preempted request out of the step again and returns its tokens (0 if it was not in it). */
  #unschedule(request: EngineRequest): number {
    const position = this.scheduled.indexOf(request);
    if (position === -1) return 0;
    this.scheduled.splice(position, 1);
    return request.scheduledTokens;
  }

  #preempt(request: EngineRequest): void {
    this.#freeBlocks(request);
    request.computedTokens = 0;
    request.status = 'preempted';
    request.preemptions++;
    this.counters.preemptions++;
    this.preempted.push(request);
    this.#waiting.putBack(request);
  }

  /** Tail first: of a chain in the queue of free blocks the end is evicted before the head. */
  #freeBlocks(request: EngineRequest): void {
    for (let index = request.blockCount - 1; index >= 0; index--) this.#pool.free(request.blocks[index]!);
    request.blockCount = 0;
    request.storedBlocks = 0;
  }

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.#options.blockSize);
  }

  #measure(): void {
    const load = this.load;
    load.tokens = 0;
    load.prefillTokens = 0;
    load.prefillPairs = 0;
    load.decodeContextTokens = 0;
    load.sequences = this.scheduled.length;
    load.sampled = 0;
    for (const request of this.scheduled) {
      const tokens = request.scheduledTokens;
      const start = request.computedTokens - tokens;
      load.tokens += tokens;
      if (request.computedTokens === request.tokenCount) load.sampled++;
      if (tokens === 1 && start >= request.promptTokens) {
        load.decodeContextTokens += request.computedTokens;
      } else {
        load.prefillTokens += tokens;
        load.prefillPairs += tokens * start + (tokens * (tokens + 1)) / 2;
      }
    }
  }
}
