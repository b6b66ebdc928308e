// Simulated inference engine. Takes requests and returns steps, each with its duration, tokens and KV events. Has no
// clock.

import { assert } from '../core/assert.ts';
import type { KvEvent } from '../core/types.ts';
import { BlockCache } from './block-cache.ts';
import { type BlockHash, mixBlockHash } from './block-hash.ts';
import { EngineRequest, type EngineRequestSpec, type FinishReason, promptTokensOf } from './engine-request.ts';
import { type PrefixCacheCounters, Scheduler, type SchedulerOptions } from './scheduler.ts';
import { emittedTokens, type Speculation } from './speculation.ts';
import { l40sLlama8b, type StepLoad, type StepTime } from './step-time.ts';

/** Returns the next output token of a request. Must depend on the request only. */
export type SampleToken = (request: EngineRequest) => number;

export interface EngineOptions extends SchedulerOptions {
  /** Longest sequence (prompt and output). Lowered by the engine to what its pool can hold. */
  readonly contextTokensMax: number;
  /** Waiting and running requests. Further ones are refused. */
  readonly unfinishedMax: number;
  readonly stepTime: StepTime;
  /** Null: one token per sequence and step. */
  readonly speculation: Speculation | null;
  readonly blockHash: BlockHash;
  readonly sampleToken: SampleToken;
}

/** An L40S that serves Llama-3.1-8B: 11,625 usable blocks of 16 tokens are 186,000 tokens of KV. */
export const engineDefaults: EngineOptions = {
  cache: 'blocks',
  blockSize: 16,
  blocks: 11_626,
  stepTokensMax: 2048,
  sequencesMax: 256,
  order: 'fcfs',
  reserveWholePrompt: true,
  freeUnhashedFirst: true,
  joinRemovals: false,
  contextTokensMax: 32_768,
  unfinishedMax: 65_536,
  stepTime: l40sLlama8b,
  speculation: null,
  blockHash: mixBlockHash,
  sampleToken: seededToken(32_000),
};

/** Draws tokens below `vocabularySize` that depend only on the request's seed and the position. */
export function seededToken(vocabularySize: number): SampleToken {
  return (request) => {
    let z = (Math.imul(request.seed, 0x9e3779b1) + Math.imul(request.outputTokens + 1, 0x85ebca77)) | 0;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) % vocabularySize;
  };
}

/** `overloaded`: `unfinishedMax` is reached. `prompt-too-long`: no space is left for an output token. */
export type RefusalReason = 'empty-prompt' | 'prompt-too-long' | 'overloaded';

export type Submission =
  | { readonly kind: 'accepted'; readonly request: EngineRequest }
  | { readonly kind: 'refused'; readonly reason: RefusalReason };

/** One step. Valid until the next call of `step`, which reuses the lists. */
export interface EngineStep {
  readonly stepNs: number;
  readonly load: Readonly<StepLoad>;
  /** Requests that got the last `sampledTokens` of their `tokens`, in order of scheduling. */
  readonly sampled: readonly EngineRequest[];
  /** The part of `sampled` that ended with them. */
  readonly finished: readonly EngineRequest[];
  readonly preempted: readonly EngineRequest[];
  /** Publish these once, when the step's duration is over. The engine does not reuse the list. */
  readonly events: readonly KvEvent[];
}

/** Totals since the start. */
export interface EngineCounters extends Readonly<PrefixCacheCounters> {
  readonly steps: number;
  readonly busyNs: number;
  /** Prompt tokens of requests that have sampled a first token. `cachedPromptTokens` of them came from the cache. */
  readonly promptTokens: number;
  readonly cachedPromptTokens: number;
  /** Prefill tokens computed, including those of unfinished prompts and those recomputed after a preemption. */
  readonly prefillTokens: number;
  readonly outputTokens: number;
  readonly finished: Readonly<Record<FinishReason, number>>;
  readonly aborted: number;
}

export class Engine {
  readonly contextTokensMax: number;
  readonly #options: EngineOptions;
  readonly #scheduler: Scheduler;
  /** Overwritten in place, since truncating a list to 0 frees its memory. */
  readonly #sampled: EngineRequest[] = [];
  #sampledCount = 0;
  readonly #finished: EngineRequest[] = [];
  #nextId = 0;
  #steps = 0;
  #busyNs = 0;
  #promptTokens = 0;
  #cachedPromptTokens = 0;
  #prefillTokens = 0;
  #outputTokens = 0;
  readonly #finishedBy: Record<FinishReason, number> = { stop: 0, length: 0 };
  #aborted = 0;

  constructor(options: EngineOptions) {
    for (const name of ['blockSize', 'stepTokensMax', 'sequencesMax', 'contextTokensMax', 'unfinishedMax'] as const) {
      const value = options[name];
      if (!Number.isInteger(value) || value < 1)
        throw new RangeError(`${name} must be a positive integer, got ${value}`);
    }
    this.#options = options;
    this.#scheduler = new Scheduler(options, 1 + (options.speculation?.draftTokens ?? 0));
    // A sequence that fills the whole pool can run alone, so every admitted request ends.
    this.contextTokensMax = Math.min(options.contextTokensMax, (options.blocks - 1) * options.blockSize);
  }

  get waitingCount(): number {
    return this.#scheduler.waitingCount;
  }

  get runningCount(): number {
    return this.#scheduler.runningCount;
  }

  /** Share of the KV blocks in use, 0 .. 1. */
  get kvUsage(): number {
    return this.#scheduler.cache.usage;
  }

  get counters(): EngineCounters {
    return {
      ...this.#scheduler.counters,
      steps: this.#steps,
      busyNs: this.#busyNs,
      promptTokens: this.#promptTokens,
      cachedPromptTokens: this.#cachedPromptTokens,
      prefillTokens: this.#prefillTokens,
      outputTokens: this.#outputTokens,
      finished: { ...this.#finishedBy },
      aborted: this.#aborted,
    };
  }

  submit(spec: EngineRequestSpec): Submission {
    assert(spec.outputTokensMax >= 1, 'outputTokensMax is at least 1');
    const promptTokens = promptTokensOf(spec);
    if (promptTokens === 0) return { kind: 'refused', reason: 'empty-prompt' };
    if (promptTokens >= this.contextTokensMax) return { kind: 'refused', reason: 'prompt-too-long' };
    if (this.waitingCount + this.runningCount >= this.#options.unfinishedMax) {
      return { kind: 'refused', reason: 'overloaded' };
    }
    const hasher =
      spec.prompt instanceof Uint32Array
        ? this.#options.blockHash(spec.lora ?? null, spec.salt ?? null)
        : spec.prompt.hasher;
    const request = new EngineRequest(this.#nextId++, spec, this.contextTokensMax, hasher);
    this.#scheduler.enqueue(request);
    return { kind: 'accepted', request };
  }

  /** Ends a request early and frees its blocks. Returns false if it has ended already. */
  abort(request: EngineRequest): boolean {
    if (request.status === 'finished' || request.status === 'aborted') return false;
    this.#scheduler.remove(request);
    request.status = 'aborted';
    this.#aborted++;
    return true;
  }

  /**
   * Drops the prefix cache. Returns false while blocks are in use (`preemptRunning` frees them first). The next step
   * carries the cleared event.
   */
  resetPrefixCache(preemptRunning = false): boolean {
    return this.#scheduler.resetPrefixCache(preemptRunning);
  }

  /** Does one step. Returns null if there is nothing to do; no time passes then. */
  step(): EngineStep | null {
    if (this.waitingCount + this.runningCount === 0) return null;
    const scheduler = this.#scheduler;
    scheduler.schedule();
    assert(scheduler.scheduled.length > 0 || scheduler.preempted.length > 0, 'a step with requests computes something');
    const { load } = scheduler;
    const stepNs = load.tokens === 0 ? 0 : Math.round(this.#options.stepTime(load) * 1e6);
    this.#sampledCount = 0;
    if (this.#finished.length > 0) this.#finished.length = 0;
    for (const request of scheduler.scheduled) {
      if (request.computedTokens === request.tokenCount) this.#sample(request);
    }
    if (this.#sampled.length > this.#sampledCount) this.#sampled.length = this.#sampledCount;
    scheduler.endStep();
    for (const request of this.#finished) scheduler.remove(request);
    for (const request of this.#finished) request.status = 'finished';
    this.#steps++;
    this.#busyNs += stepNs;
    this.#prefillTokens += load.prefillTokens;
    return {
      stepNs,
      load,
      sampled: this.#sampled,
      finished: this.#finished,
      preempted: scheduler.preempted,
      events: scheduler.takeEvents(),
    };
  }

  /** @throws Error if free blocks and blocks in use don't add up */
  assertConsistent(): void {
    this.#scheduler.assertConsistent();
  }

  /** Free blocks in the order in which they will be taken. Only for the cache kind `blocks`. */
  freeQueue(): number[] {
    const { cache } = this.#scheduler;
    assert(cache instanceof BlockCache, 'only a block pool has a free queue');
    return cache.freeQueue();
  }

  /** The hash (low, high) of every block that holds cached content, one entry per copy. */
  cachedContents(): [low: number, high: number][] {
    return this.#scheduler.cache.contents();
  }

  #sample(request: EngineRequest): void {
    if (request.outputTokens === 0) {
      this.#promptTokens += request.promptTokens;
      this.#cachedPromptTokens += request.cachedTokens;
    }
    const { speculation } = this.#options;
    const tokens = speculation === null ? 1 : emittedTokens(speculation, request);
    request.sampledTokens = 0;
    while (request.sampledTokens < tokens && request.finishReason === null) this.#append(request);
    this.#outputTokens += request.sampledTokens;
    this.#sampled[this.#sampledCount++] = request;
    if (request.finishReason === null) return;
    this.#finishedBy[request.finishReason]++;
    this.#finished.push(request);
  }

  #append(request: EngineRequest): void {
    request.appendToken(this.#options.sampleToken(request));
    request.sampledTokens++;
    if (request.tokenCount >= request.tokensMax) request.finishReason = 'length';
    else if (request.outputTokens >= request.stopAfterTokens) request.finishReason = 'stop';
  }
}
