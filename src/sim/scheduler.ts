// Scheduler of a simulated engine: continuous batching with chunked prefill, like vLLM's.

import { assert } from '../core/assert.ts';
import type { KvEvent } from '../core/types.ts';
import { BlockCache, type BlockCacheOptions } from './block-cache.ts';
import type { EngineRequest } from './engine-request.ts';
import type { CacheKind, PrefixCache } from './prefix-cache.ts';
import { RadixCache } from './radix-cache.ts';
import { emptyStep, type StepLoad } from './step-time.ts';
import { precedes, type QueueOrder, WaitingQueue } from './waiting-queue.ts';

export interface SchedulerOptions extends BlockCacheOptions {
  readonly cache: CacheKind;
  /** Token budget of one step. */
  readonly stepTokensMax: number;
  /** Sequences that run at the same time. */
  readonly sequencesMax: number;
  readonly order: QueueOrder;
  /** Admit a request only if its whole prompt fits the free blocks, not just its first chunk. */
  readonly reserveWholePrompt: boolean;
}

/** Totals since the start, in tokens unless named otherwise. */
export interface PrefixCacheCounters {
  /** Tokens looked up in the prefix cache. A request at the head of the queue is looked up in every step. */
  queriedTokens: number;
  hitTokens: number;
  preemptions: number;
}

export class Scheduler {
  readonly counters: PrefixCacheCounters = { queriedTokens: 0, hitTokens: 0, preemptions: 0 };
  /** Requests that the last call of `schedule` put into the step, in order. */
  readonly scheduled: EngineRequest[] = [];
  /** Requests that the last call of `schedule` preempted. */
  readonly preempted: EngineRequest[] = [];
  readonly load: StepLoad = emptyStep();

  readonly #options: SchedulerOptions;
  readonly #cache: PrefixCache;
  readonly #waiting: WaitingQueue;
  readonly #running: EngineRequest[] = [];
  /** Entries of `scheduled` that belong to the current step. */
  #filled = 0;
  readonly #decodeTokensMax: number;

  /** @param decodeTokensMax most tokens that a sequence gets in one step */
  constructor(options: SchedulerOptions, decodeTokensMax = 1) {
    this.#decodeTokensMax = decodeTokensMax;
    this.#options = options;
    this.#waiting = new WaitingQueue(options.order);
    this.#cache = options.cache === 'radix' ? new RadixCache(options) : new BlockCache(options);
  }

  get cache(): PrefixCache {
    return this.#cache;
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

  /** Removes a waiting or running request that has ended. */
  remove(request: EngineRequest): void {
    if (request.status !== 'running') {
      this.#waiting.remove(request);
      return;
    }
    this.#running.splice(this.#running.indexOf(request), 1);
    this.#cache.finish(request);
  }

  /** The step is over, so its tokens are computed. */
  endStep(): void {
    for (const request of this.scheduled) this.#cache.computed(request);
  }

  /** KV events since the last call. */
  takeEvents(): KvEvent[] {
    return this.#cache.takeEvents();
  }

  /** Drops all cached content. Returns false while blocks are in use; `preemptRunning` frees them first. */
  resetPrefixCache(preemptRunning: boolean): boolean {
    if (preemptRunning) {
      for (let request = this.#running.pop(); request; request = this.#running.pop()) this.#preempt(request);
    }
    return this.#cache.clear();
  }

  /** Fills `scheduled`, `preempted` and `load` for the next step, and moves the requests' `computedTokens` ahead. */
  schedule(): void {
    // Overwritten in place, since truncating a list to 0 frees its memory.
    this.#filled = 0;
    if (this.preempted.length > 0) this.preempted.length = 0;
    const budget = this.#scheduleRunning(this.#options.stepTokensMax);
    if (this.preempted.length === 0) this.#admitWaiting(budget);
    if (this.scheduled.length > this.#filled) this.scheduled.length = this.#filled;
    this.#measure();
  }

  assertConsistent(): void {
    this.#cache.assertConsistent(this.#running);
  }

  /** Schedules running requests first, so that new prefills never starve decodes. Returns the budget left. */
  #scheduleRunning(stepTokens: number): number {
    let budget = stepTokens;
    for (let index = 0; index < this.#running.length && budget > 0; index++) {
      const request = this.#running[index]!;
      const tokens = Math.min(request.tokenCount - request.computedTokens, budget);
      while (!this.#cache.hold(request, tokens)) {
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
      const hitTokens = this.#cache.match(request);
      if (!request.recomputed) this.counters.queriedTokens += request.tokenCount;
      this.counters.hitTokens += hitTokens;
      const tokens = Math.min(request.tokenCount - hitTokens, budget);
      const wanted = this.#options.reserveWholePrompt ? request.tokenCount : hitTokens + tokens;
      if (!this.#cache.admit(request, hitTokens, wanted)) return;
      request.computedTokens = hitTokens;
      if (request.cachedTokens === -1) request.cachedTokens = hitTokens;
      const held = this.#cache.hold(request, tokens);
      assert(held, 'admit left space for the first chunk');
      this.#waiting.popFront();
      this.#running.push(request);
      request.status = 'running';
      budget -= this.#take(request, tokens);
    }
  }

  /** Schedules `tokens` of the request. Returns `tokens`. */
  #take(request: EngineRequest, tokens: number): number {
    request.scheduledTokens = tokens;
    request.computedTokens += tokens;
    this.scheduled[this.#filled++] = request;
    this.#cache.scheduled(request);
    return tokens;
  }

  #pickVictim(): EngineRequest {
    let victim = this.#running[this.#running.length - 1]!;
    if (this.#options.order === 'fcfs') return victim;
    for (const request of this.#running) if (precedes(victim, request)) victim = request;
    return victim;
  }

  /** Removes a preempted request from the step. Returns its tokens (0 if it was not in the step). */
  #unschedule(request: EngineRequest): number {
    const position = this.scheduled.indexOf(request);
    if (position === -1 || position >= this.#filled) return 0;
    this.scheduled.splice(position, 1);
    this.#filled--;
    return request.scheduledTokens;
  }

  #preempt(request: EngineRequest): void {
    this.#cache.release(request);
    request.computedTokens = 0;
    request.status = 'preempted';
    request.preemptions++;
    this.counters.preemptions++;
    this.preempted.push(request);
    this.#waiting.putBack(request);
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
      if (tokens <= this.#decodeTokensMax && start >= request.promptTokens) {
        load.decodeContextTokens += request.computedTokens;
      } else {
        load.prefillTokens += tokens;
        load.prefillPairs += tokens * start + (tokens * (tokens + 1)) / 2;
      }
    }
  }
}
