// Follows one engine through its life: joins it to a pool, looks after it, loses it, finds it again.

import type { Logger } from 'pino';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';
import { EventIntake } from '../feeds/event-intake.ts';
import { isSameAddress } from '../feeds/feed-address.ts';
import type { FeedCommons } from '../feeds/feed-commons.ts';
import { KvFeed } from '../feeds/kv-feed.ts';
import type { Pool } from '../pools/pool.ts';
import type { Pools } from '../pools/pools.ts';
import { type CanaryContext, sendCanary } from '../proof/canary.ts';
import { CanarySchedule } from '../proof/canary-schedule.ts';
import type { Parity } from '../proof/tokenizer-parity.ts';
import { type Engine, Worker } from './engine.ts';
import { type EngineFacts, EngineUnfit, learnFacts, type RankFacts } from './engine-facts.ts';
import { type FeedSource, ProbeError } from './engine-probe.ts';
import { FailureStreak } from './failure-streak.ts';
import { SilenceGuard } from './silence-guard.ts';
import { canBeSpared } from './spare-engines.ts';
import { isCapacityKnown, updatedTraits } from './worker-traits.ts';

/** Between two looks at an engine that is ready. */
const readyIntervalMs = 5000;
/** Probes without an answer until a ready engine counts as down; one refused connection is enough. */
const missedProbesMax = 3;
/** How long a worker waits for its feed to be up to date before it takes requests without. */
const feedCurrentMsMax = 2000;

export interface MonitorContext extends CanaryContext {
  readonly config: GatewayConfig;
  readonly tokenizer: Tokenizer | null;
  readonly pools: Pools;
  readonly feedCommons: FeedCommons;
  readonly log: Logger;
}

export class EngineMonitor {
  readonly engine: Engine;
  readonly #config: GatewayConfig;
  readonly #tokenizer: Tokenizer | null;
  readonly #pools: Pools;
  readonly #feedCommons: FeedCommons;
  readonly #log: Logger;
  #closed = false;
  #wake: (() => void) | null = null;
  #missedProbes = 0;
  readonly #streak = new FailureStreak();
  readonly #silence: SilenceGuard;
  readonly #canaries: CanarySchedule;
  /** Suspected of being frozen: what it says when asked proves nothing. */
  #silent = false;
  /** It failed, so it has to prove itself when it is back. */
  #proves = false;
  #restUntilMs = 0;
  /** The process was seen to be gone: what it held in its cache is lost. */
  #processGone = false;

  constructor(engine: Engine, context: MonitorContext) {
    const { config, tokenizer, pools, feedCommons, log } = context;
    this.engine = engine;
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#pools = pools;
    this.#feedCommons = feedCommons;
    this.#log = log.child({ engine: engine.url });
    this.#silence = new SilenceGuard(
      engine,
      {
        onSuspect: (reason) => this.#suspectSilence(reason),
        onHeard: () => this.#heard(),
        onLost: (reason, lives) => this.#lostInSilence(reason, lives),
      },
      this.#log,
    );
    this.#canaries = new CanarySchedule(engine, config, (worker) => sendCanary(worker, context), this.#log);
  }

  /** Runs until `close`. */
  async run(): Promise<void> {
    while (!this.#closed) {
      if (this.engine.state === 'ready') await this.#check();
      else if (!this.#silent && performance.now() >= this.#restUntilMs) await this.#join();
      if (this.#closed) return;
      const restMs = this.#restUntilMs - performance.now();
      const ready = this.engine.state === 'ready';
      await this.#sleep(ready ? readyIntervalMs : Math.max(this.#config.probeIntervalMs, restMs));
    }
  }

  /** A request could not connect: no further one goes there until a probe has. */
  suspect(reason: string, refused: boolean): void {
    this.#processGone ||= refused;
    if (this.engine.state !== 'ready') return;
    this.#proves = true;
    this.engine.setState('suspect', reason);
    this.#log.warn({ reason }, 'engine suspected');
    this.#wake?.();
  }

  /** A request failed in its hands; some in a row, or the one on trial, put it out, if it can be spared. */
  failed(reason: string): void {
    if (this.engine.state !== 'ready') return;
    if (canBeSpared(this.engine, this.#pool) && this.#streak.failed(this.engine.onTrial)) this.#putOut(reason);
    // It may be gone altogether: a look at it tells.
    this.#wake?.();
  }

  /** It has begun to answer a request: others may come. */
  begun(): void {
    this.engine.onTrial = false;
  }

  /** It has given a whole answer. */
  worked(): void {
    this.#streak.worked();
    this.engine.onTrial = false;
  }

  /** Takes its workers out of their pool, with all that is booked there. */
  leave(): void {
    this.#pools.leave(this.engine);
    this.engine.workers = [];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#silence.close();
    this.#wake?.();
    for (const worker of this.engine.workers) worker.feed?.close();
    await this.engine.upstream.close();
  }

  /** Out until it has rested; then it has to prove itself. */
  #putOut(reason: string): void {
    this.#proves = true;
    this.#restUntilMs = performance.now() + this.#streak.restMs;
    this.engine.setState('down', reason);
    this.#log.warn({ reason, restMs: this.#streak.restMs }, 'engine out');
  }

  #suspectSilence(reason: string): void {
    if (this.engine.state !== 'ready') return;
    this.#silent = true;
    this.engine.setState('suspect', reason);
  }

  #heard(): void {
    if (!this.#silent) return;
    this.#silent = false;
    if (this.engine.state === 'suspect') this.engine.setState('ready', null);
  }

  #lostInSilence(reason: string, lives: boolean): void {
    this.#silent = false;
    const { state } = this.engine;
    if (state !== 'ready' && state !== 'suspect') return;
    if (lives) {
      this.#streak.trip();
      this.#putOut(reason);
    } else {
      this.engine.setState('down', reason);
      this.#log.warn({ reason }, 'engine down');
    }
    this.#wake?.();
  }

  async #check(): Promise<void> {
    try {
      await this.engine.probe.health();
      this.#missedProbes = 0;
      if (!this.#closed) this.#canaries.tick(performance.now());
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      // An engine without /health is not ill; one that answers with 5xx says that it is.
      if (error.status > 0 && error.status < 500) return;
      this.#missedProbes += 1;
      if (error.refused || error.status >= 500 || this.#missedProbes >= missedProbesMax) this.#lost(error);
    }
  }

  #lost(error: ProbeError): void {
    this.#processGone ||= error.refused;
    const { state } = this.engine;
    const first = state === 'ready' || state === 'suspect';
    this.engine.setState(state === 'joining' || state === 'refused' ? state : 'down', error.message);
    this.#proves ||= first;
    if (first) this.#log.warn({ reason: error.message }, 'engine down');
    else this.#log.debug({ reason: error.message }, 'engine not reached');
  }

  async #join(): Promise<void> {
    let facts: EngineFacts;
    try {
      facts = await learnFacts(this.engine, this.#config, this.#tokenizer);
    } catch (error) {
      if (this.#closed) return;
      if (error instanceof ProbeError) this.#lost(error);
      else if (error instanceof EngineUnfit) this.#refuse(error);
      else throw error;
      return;
    }
    if (this.#closed) return;
    this.#adopt(facts);
    await Promise.all(this.engine.workers.map((worker) => worker.feed?.whenCurrent(feedCurrentMsMax)));
    if (this.#closed) return;
    this.#missedProbes = 0;
    this.engine.onTrial = this.#proves;
    this.#proves = false;
    this.engine.setState('ready', null);
    for (const worker of this.engine.workers) this.#announce(worker);
    this.#canaries.joined();
  }

  #refuse(error: EngineUnfit): void {
    if (this.engine.state !== 'refused' || this.engine.reason !== error.message) {
      this.#log.error({ reason: error.message }, 'engine refused');
    }
    this.engine.setState('refused', error.message);
  }

  /** Brings the engine's workers in line with what it says of itself. */
  #adopt(facts: EngineFacts): void {
    const { engine } = this;
    const stays = engine.workers.length === facts.ranks.length && facts.models.some((model) => engine.lists(model.id));
    engine.models = facts.models;
    if (this.#processGone) engine.reportsCachedTokens = false;
    engine.tokenizer = facts.tokenizer;
    if (!stays) this.#replaceWorkers(facts);
    if (!stays || this.#processGone) this.#pool.tokens.forget();
    for (const [i, worker] of engine.workers.entries()) {
      if (stays) this.#update(worker, facts.ranks[i]!);
    }
    this.#pool.membersChanged();
    this.#processGone = false;
  }

  #update(worker: Worker, { traits, feed, told }: RankFacts): void {
    const { router, index } = worker.membership!;
    const before = worker.traits;
    worker.told = told;
    worker.traits = this.#processGone ? traits : updatedTraits(before, traits);
    const { blockSize, pageSize, capacityBlocks } = worker.traits;
    if (capacityBlocks !== before.capacityBlocks || worker.traits.capacityFrom !== before.capacityFrom) {
      router.setCapacity(index, capacityBlocks, isCapacityKnown(worker.traits));
    }
    if (blockSize !== before.blockSize || pageSize !== before.pageSize) {
      router.setBlockSize(index, blockSize, pageSize);
    }
    if (traits.source !== before.source) router.setSource(index, traits.source);
    this.#connectFeed(worker, feed);
    if (!this.#processGone) return;
    if (worker.feed === null) router.dropBlocks(index);
    else worker.feed.publisherGone();
  }

  #replaceWorkers(facts: EngineFacts): void {
    const { engine } = this;
    this.#pools.leave(engine);
    for (const { feed } of engine.workers) feed?.close();
    engine.workers = facts.ranks.map(({ rank, traits, told }) => new Worker(engine, rank, traits, told));
    this.#pools.join(engine);
    for (const [i, worker] of engine.workers.entries()) this.#connectFeed(worker, facts.ranks[i]!.feed);
  }

  /** Keeps a subscription to the same address, however often the engine goes and comes. */
  #connectFeed(worker: Worker, feed: FeedSource | null): void {
    worker.offeredFeed = feed;
    const wanted = worker.traits.source === 'approximate' ? null : feed;
    if (worker.feed !== null && wanted !== null && isSameAddress(worker.feed.address, wanted)) return;
    worker.feed?.close();
    worker.feed = null;
    if (wanted === null) return;
    worker.feed = new KvFeed(wanted, new EventIntake(worker, this.#log), this.#feedCommons);
    worker.feed.open();
  }

  #announce(worker: Worker): void {
    const { traits, feed, offeredFeed } = worker;
    const { models, tokenizer, state } = this.engine;
    const pool = this.#pool;
    const tokensFrom = pool.tokens.inForce();
    const line = {
      worker: worker.id,
      models: models.map(({ id }) => id),
      blockSize: `${traits.blockSize} (${traits.blockSizeFrom})`,
      capacityBlocks: `${traits.capacityBlocks} (${traits.capacityFrom})`,
      tokenizer: { name: this.#tokenizer?.name ?? this.#config.tokenizer, ...tokenizer },
      tokensFrom,
      events: offeredFeed === null ? 'none' : `${offeredFeed.endpoint} (${feed?.status.state ?? 'not used'})`,
      source: traits.source,
      state,
    };
    this.#log.info(line, 'worker ready');
    if (pool.tokens.changed()) {
      const differing = [...pool.workers].filter(({ engine }) => differs(engine.tokenizer.chat)).map(({ id }) => id);
      this.#log.warn({ pool: pool.name, tokensFrom, differing }, 'token ids of prompts come from elsewhere now');
    }
    if (this.#config.tokenizer === 'engine' && tokenizer.text === 'unavailable') {
      this.#log.warn(
        { worker: worker.id, tokensFrom },
        'the engine tells no token ids: it has no /tokenize that answers',
      );
    }
    if (feed === null && offeredFeed !== null) {
      this.#log.warn(
        { worker: worker.id },
        'KV events are not used: without token ids no prompt can be matched with them',
      );
    }
    if (feed?.status.state === 'connecting') {
      this.#log.warn({ worker: worker.id, endpoint: feed.status.endpoint }, 'KV event feed does not connect yet');
    }
    if (differs(tokenizer.chat)) {
      const what =
        tokenizer.chat === 'differs' ? 'the chat template differs' : 'the chat template differs by a second BOS';
      const consequence =
        tokensFrom.chat === 'engine'
          ? 'token ids of chats are asked of the engines'
          : 'token ids of chats are those of the tokenizer, and their blocks may never match here';
      this.#log.warn({ worker: worker.id, tokensFrom }, `${what} from the engine: ${consequence}`);
    }
  }

  /** Of an engine that has joined. */
  get #pool(): Pool {
    return this.#pools.poolOf(this.engine)!;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function differs(parity: Parity): boolean {
  return parity === 'differs' || parity === 'double-bos';
}
