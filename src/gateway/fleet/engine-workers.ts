// The workers of one engine: creates them, updates them from the engine's facts, and takes them out of routing.

import type { Logger } from 'pino';
import type { IndexSource } from '../../core/index.ts';
import type { FeedSource } from '../engines/announced-feeds.ts';
import { type Engine, Worker } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { isCapacityKnown, updatedTraits } from '../engines/worker-traits.ts';
import { isSameAddress } from '../feeds/feed-address.ts';
import type { FeedCommons } from '../feeds/feed-commons.ts';
import { KvFeed } from '../feeds/kv-feed.ts';
import type { Pools } from '../pools/pools.ts';
import type { EngineFacts, RankFacts } from './engine-facts.ts';
import { EventIntake } from './event-intake.ts';

/** Time that a worker waits for its feed to catch up before it takes requests anyway. */
const feedCurrentMsMax = 2000;

/** Model names per log line. */
const loggedModelsMax = 32;

export interface EngineWorkersContext {
  readonly pools: Pools;
  readonly feedCommons: FeedCommons;
  readonly log: Logger;
  /** A publisher of its events has disconnected: the engine may be gone. */
  readonly onDisconnected: () => void;
}

export class EngineWorkers {
  readonly #engine: Engine;
  readonly #pools: Pools;
  readonly #feedCommons: FeedCommons;
  readonly #log: Logger;
  readonly #onDisconnected: () => void;

  constructor(engine: Engine, { pools, feedCommons, log, onDisconnected }: EngineWorkersContext) {
    this.#engine = engine;
    this.#pools = pools;
    this.#feedCommons = feedCommons;
    this.#log = log;
    this.#onDisconnected = onDisconnected;
  }

  /** Whether every worker has a publisher of its events, whose end would be noticed at once. */
  get isListening(): boolean {
    return this.#engine.workers.every(({ feed }) => feed !== null && feed.status.publishers > 0);
  }

  /** @param processGone the previous process has ended, and its cache is lost */
  adopt(facts: EngineFacts, processGone: boolean): void {
    const engine = this.#engine;
    const stays = engine.workers.length === facts.ranks.length && facts.models.some(({ id }) => engine.lists(id));
    engine.models = facts.models;
    if (processGone) engine.reportsCachedTokens = false;
    engine.tokenizer = facts.tokenizer;
    if (facts.remarks.length > 0 && facts.remarks.join() !== engine.remarks.join()) {
      this.#log.warn({ remarks: facts.remarks }, 'engine has unusable statements');
    }
    engine.remarks = facts.remarks;
    if (!stays) this.#replace(facts);
    const pool = this.#pools.poolOf(engine)!;
    if (!stays || processGone) pool.tokens.forget();
    for (const [i, worker] of engine.workers.entries()) {
      if (stays) this.#update(worker, facts.ranks[i]!, processGone);
    }
    pool.membersChanged();
  }

  /**
   * Adopts the models that the engine lists now. Workers stay with their bookings; requests for a model go to the
   * engines that list it.
   * @returns false if no earlier model is left: it is a different engine
   */
  adoptModels(models: readonly ModelEntry[]): boolean {
    const engine = this.#engine;
    if (!models.some(({ id }) => engine.lists(id))) return false;
    const before = engine.models;
    engine.models = models;
    const listed = new Set(before.map(({ id }) => id));
    const added = models.filter(({ id }) => !listed.has(id)).map(({ id }) => id);
    const removed = before.filter(({ id }) => !engine.lists(id)).map(({ id }) => id);
    if (added.length === 0 && removed.length === 0) return true;
    this.#pools.poolOf(engine)?.membersChanged();
    const some = (ids: readonly string[]): readonly string[] => ids.slice(0, loggedModelsMax);
    this.#log.info({ added: some(added), removed: some(removed), models: models.length }, 'engine models changed');
    return true;
  }

  /** Waits briefly until the feeds have caught up. */
  async whenCurrent(): Promise<void> {
    await Promise.all(this.#engine.workers.map(({ feed }) => feed?.whenCurrent(feedCurrentMsMax)));
  }

  /** Takes all workers out of routing. A failing step does not stop the others. */
  dismiss(): void {
    const engine = this.#engine;
    this.#attempt(() => this.#pools.leave(engine));
    this.closeFeeds();
    engine.workers = [];
  }

  closeFeeds(): void {
    for (const { feed } of this.#engine.workers) this.#attempt(() => feed?.close());
  }

  /** Reopens the feeds that could not be opened. */
  retryFeeds(): void {
    for (const worker of this.#engine.workers) {
      if (worker.feedFault !== null) this.#connectFeed(worker, worker.offeredFeed, 'events');
    }
  }

  #update(worker: Worker, { traits, feed, told }: RankFacts, processGone: boolean): void {
    const { router, index } = worker.membership!;
    const before = worker.traits;
    worker.told = told;
    // The source changes only with the feed.
    worker.traits = { ...(processGone ? traits : updatedTraits(before, traits)), source: before.source };
    const { blockSize, pageSize, capacityBlocks } = worker.traits;
    if (capacityBlocks !== before.capacityBlocks || worker.traits.capacityFrom !== before.capacityFrom) {
      router.setCapacity(index, capacityBlocks, isCapacityKnown(worker.traits));
    }
    if (blockSize !== before.blockSize || pageSize !== before.pageSize) {
      router.setBlockSize(index, blockSize, pageSize);
    }
    this.#connectFeed(worker, feed, traits.source);
    if (!processGone) return;
    if (worker.feed === null) router.dropBlocks(index);
    else worker.feed.publisherGone();
  }

  #replace(facts: EngineFacts): void {
    const engine = this.#engine;
    this.#pools.leave(engine);
    for (const { feed } of engine.workers) feed?.close();
    engine.workers = facts.ranks.map(({ rank, traits, told }) => new Worker(engine, rank, traits, told));
    this.#pools.join(engine);
    for (const [i, worker] of engine.workers.entries()) {
      const { feed, traits } = facts.ranks[i]!;
      this.#connectFeed(worker, feed, traits.source);
    }
  }

  /** Keeps the subscription while its address stays the same, even if the engine goes and returns. */
  #connectFeed(worker: Worker, offered: FeedSource | null, source: IndexSource): void {
    worker.offeredFeed = offered;
    const wanted = source === 'approximate' ? null : offered;
    const { feed } = worker;
    if (feed === null || wanted === null || !isSameAddress(feed.address, wanted)) {
      feed?.close();
      worker.feed = null;
      if (wanted === null) worker.feedFault = null;
      else this.#openFeed(worker, wanted);
    }
    this.#setSource(worker, worker.feed === null ? 'approximate' : 'events');
  }

  /** A worker whose feed can't be opened stays in use; its blocks are mirrored from our decisions. */
  #openFeed(worker: Worker, address: FeedSource): void {
    let feed: KvFeed | null = null;
    try {
      const intake = new EventIntake(worker, this.#log, this.#feedCommons.copies, this.#onDisconnected);
      feed = new KvFeed(address, intake, this.#feedCommons);
      feed.open();
      worker.feed = feed;
      worker.feedFault = null;
    } catch (error) {
      this.#attempt(() => feed?.close());
      const fault = (error as Error).message;
      if (worker.feedFault !== fault) {
        const { endpoint, replayEndpoint } = address;
        this.#log.error({ worker: worker.id, endpoint, replayEndpoint, reason: fault }, 'KV event feed not opened');
      }
      worker.feedFault = fault;
    }
  }

  #setSource(worker: Worker, source: IndexSource): void {
    if (worker.traits.source === source) return;
    worker.traits = { ...worker.traits, source };
    const { router, index } = worker.membership!;
    router.setSource(index, source);
  }

  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#log.error({ err: error }, 'removal of workers failed in part');
    }
  }
}
