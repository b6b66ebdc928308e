// Checks a worker's tokens, cache and KV events with two equal small requests.

import type { BlockHasher, BlocksStored, Outcome, Prompt, Router, WorkerIndex } from '../../core/index.ts';
import { TokenizerError } from '../../tokens/tokenizer.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { CanaryReport, Diagnosis } from '../engines/canary-report.ts';
import type { Engine, Worker } from '../engines/engine.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import { BookingLease } from '../pools/booking-lease.ts';
import type { Pool } from '../pools/pool.ts';
import type { Pools } from '../pools/pools.ts';
import { until } from '../until.ts';
import { type CanaryPrompt, type Encode, makeCanaryPrompt } from './canary-prompt.ts';
import { diagnose, type EventEvidence } from './diagnosis.ts';

/** Limit on one request; the engine may be busy with others. */
const answerMsMax = 60_000;
/** Time that events and the engine's counters may lag behind an answer. */
const lagMsMax = 3000;
/** Time after opening our end in which a publisher must connect to it; publishers retry within seconds. */
const publisherMsMax = 10_000;
/** Tokens of an event that identify the canary's prompt; fewer could begin any prompt. */
const tellingTokensMin = 4;

/** The parts of the gateway that a canary needs. */
export interface CanaryContext {
  readonly hasher: BlockHasher;
  readonly pools: Pools;
}

/** The worker has left or takes no requests. */
class CanaryStopped extends Error {
  override readonly name = 'CanaryStopped';
}

export async function sendCanary(worker: Worker, context: CanaryContext): Promise<CanaryReport> {
  try {
    const prompt = await makeCanaryPrompt(encodeFor(worker, context.pools), worker.traits.blockSize);
    // Then only the engine's own statements can be checked.
    if (prompt === null) return { timeMs: Date.now(), state: 'off', ...diagnose(null, worker.circumstances) };
    const diagnosis = await new Canary(worker, prompt, context).run();
    return { timeMs: Date.now(), state: diagnosis.findings.length === 0 ? 'sound' : 'faulty', ...diagnosis };
  } catch (error) {
    // Unanswered requests prove nothing about the cache; the health check deals with them.
    const expected = error instanceof ProbeError || error instanceof TokenizerError || error instanceof CanaryStopped;
    if (!expected) throw error;
    return { timeMs: Date.now(), state: 'inconclusive', reason: error.message };
  }
}

/** The gateway's tokenizer for the worker's model; null: none. */
function encodeFor({ engine }: Worker, pools: Pools): Encode | null {
  const tokens = pools.poolOf(engine)?.tokens;
  if (tokens === undefined || tokens.inForce().text === 'bytes') return null;
  const tokenizer = tokens.forModel(baseModel(engine));
  return tokenizer === null ? null : (text) => tokenizer.encode(text);
}

/** The first model that is not an adapter. */
function baseModel({ models }: Engine): string {
  return (models.find(({ parent }) => parent === null) ?? models[0]!).id;
}

class Canary {
  readonly #worker: Worker;
  readonly #prompt: CanaryPrompt;
  readonly #context: CanaryContext;
  #namespace: string | null = null;

  constructor(worker: Worker, prompt: CanaryPrompt, context: CanaryContext) {
    this.#worker = worker;
    this.#prompt = prompt;
    this.#context = context;
  }

  async run(): Promise<Diagnosis> {
    const worker = this.#worker;
    const { engine } = worker;
    await this.#publisher();
    const batchesBefore = worker.feed?.status.batches ?? 0;
    const partialBefore = this.#partialEvents();
    worker.storedWatch = (event) => this.#stored(event);
    let first: Usage | null;
    let events: EventEvidence | null;
    try {
      first = await this.#ask();
      events = await this.#eventEvidence(batchesBefore, partialBefore);
    } finally {
      worker.storedWatch = null;
    }
    // Answers that report cached tokens need no counters.
    const tells = first !== null && engine.complete(first).cachedTokens !== null;
    const hitsBefore = tells ? null : await this.#hits();
    const second = await this.#ask();
    const reportedTokens = second === null ? null : engine.complete(second).cachedTokens;
    const cacheableTokens = this.#cacheableTokens();
    const isCounted = reportedTokens === null && hitsBefore !== null;
    const counterTokens = isCounted ? await this.#newHits(hitsBefore, cacheableTokens) : null;
    return diagnose(
      {
        promptTokens: this.#prompt.tokens.length,
        countedTokens: first?.promptTokens ?? null,
        cacheableTokens,
        reportedTokens,
        counterTokens,
        events,
      },
      worker.circumstances,
    );
  }

  /** Waits for a publisher that connects to us. Events before that, such as the canary's, would be lost. */
  async #publisher(): Promise<void> {
    await until(() => {
      const { feed, engine } = this.#worker;
      if (feed === null || feed.address.mode !== 'bind' || !engine.workers.includes(this.#worker)) return true;
      const { publishers, replaying, error, openMs } = feed.status;
      return (publishers > 0 && !replaying) || error !== null || openMs > publisherMsMax;
    }, publisherMsMax);
  }

  /** Sends the prompt once, booked like any other request; null: the answer has no usage. */
  async #ask(): Promise<Usage | null> {
    const { engine, rank, id } = this.#worker;
    const { pool } = this.#place();
    const { router } = pool;
    const routed = router.route(
      { prompts: [this.#hashed()], wholeAnswer: true, maxOutputTokens: 1, excluded: pool.allBut(id) },
      performance.now(),
    );
    if (routed.kind === 'refused') throw new CanaryStopped(`${id} takes no requests`);
    const lease = BookingLease.take(router, routed, 1, engine);
    let outcome: Outcome = 'failed';
    try {
      const body = { model: baseModel(engine), prompt: this.#prompt.prompt, max_tokens: 1, temperature: 0 };
      const usage = await engine.probe.complete(body, engine.workers.length > 1 ? rank : null, answerMsMax);
      outcome = 'done';
      return usage;
    } finally {
      lease.release(outcome, performance.now());
    }
  }

  async #eventEvidence(batchesBefore: number, partialBefore: number): Promise<EventEvidence | null> {
    const { feed } = this.#worker;
    if (feed === null) return null;
    const { blocks, announcedBlocks } = await this.#announcement();
    return {
      feed: feed.status,
      batches: feed.status.batches - batchesBefore,
      blocks,
      announcedBlocks,
      elsewhere: announcedBlocks >= blocks ? [] : this.#elsewhere(),
      partialEvents: this.#partialEvents() - partialBefore,
      namespace: this.#namespace,
    };
  }

  #partialEvents(): number {
    return this.#worker.events.skipped['attention-kind'] ?? 0;
  }

  /** Waits until the worker's events have announced all blocks of the prompt. */
  async #announcement(): Promise<{ readonly blocks: number; readonly announcedBlocks: number }> {
    const told = (): { blocks: number; announcedBlocks: number } => {
      const { pool, index } = this.#place();
      return { blocks: this.#blocks(this.#worker), announcedBlocks: this.#announced(pool.router, index, this.#worker) };
    };
    await until(() => told().announcedBlocks >= told().blocks, lagMsMax);
    return told();
  }

  /** Number of the prompt's blocks that are announced for a worker. */
  #announced(router: Router, index: WorkerIndex, worker: Worker): number {
    // Blocks assumed from our own decisions were not announced.
    if (worker.trust(performance.now()).kind === 'approximate') return 0;
    const { traits } = worker;
    return router.announcedBlocks(index, this.#context.hasher.hash(this.#prompt.tokens, traits.blockSize));
  }

  #elsewhere(): string[] {
    const ids: string[] = [];
    for (const pool of this.#context.pools) {
      for (const worker of pool.workers) {
        if (worker === this.#worker || worker.membership === null) continue;
        const announced = this.#announced(pool.router, worker.membership.index, worker);
        if (announced > 0 && announced >= this.#blocks(worker)) ids.push(worker.id);
      }
    }
    return ids;
  }

  /** Notes whether events announce the prompt under a namespace that other prompts with these tokens don't share. */
  #stored({ parent, tokens, lora, salt, extras }: BlocksStored): void {
    const { tokens: ours } = this.#prompt;
    if (parent !== null || tokens.length < tellingTokensMin) return;
    if (!tokens.every((token, i) => i >= ours.length || token === ours[i])) return;
    if (lora !== null) this.#namespace = `the LoRA adapter ${JSON.stringify(lora)}`;
    else if (salt !== null) this.#namespace = 'a cache salt';
    else if (extras?.[0] != null) this.#namespace = 'media';
  }

  #hits(): Promise<number | null> {
    // An engine without metrics proves its cache otherwise.
    return this.#worker.engine.probe.prefixCacheHits(this.#worker.rank).catch(() => null);
  }

  async #newHits(before: number, expected: number): Promise<number> {
    let hits = 0;
    await until(async () => {
      hits = ((await this.#hits()) ?? before) - before;
      return hits >= expected;
    }, lagMsMax);
    return Math.max(0, hits);
  }

  #hashed(): Prompt {
    const { tokens } = this.#prompt;
    const sizes = this.#place().pool.router.blockSizes();
    return { isl: tokens.length, hashes: sizes.map((size) => this.#context.hasher.hash(tokens, size)) };
  }

  #blocks({ traits }: Worker): number {
    return Math.floor(this.#prompt.tokens.length / traits.blockSize);
  }

  #cacheableTokens(): number {
    const { pageSize } = this.#worker.traits;
    return Math.floor((this.#prompt.tokens.length - 1) / pageSize) * pageSize;
  }

  /** @throws CanaryStopped if the worker has left meanwhile */
  #place(): { readonly pool: Pool; readonly index: WorkerIndex } {
    const { membership, engine, id } = this.#worker;
    const pool = this.#context.pools.poolOf(engine);
    if (membership === null || pool === undefined || !engine.workers.includes(this.#worker)) {
      throw new CanaryStopped(`${id} has left`);
    }
    return { pool, index: membership.index };
  }
}
