// One engine behind a URL, with its workers: their facts, state and KV event feeds, and whether they take requests.

import type { BlocksStored, Router, WorkerIndex } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { SkipReason } from '../../wire/kv-events.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { EngineTls } from '../config/engine-tls.ts';
import type { KvFeed } from '../feeds/kv-feed.ts';
import { approximateTrust, feedTrust, unfitTrust, type WorkerTrust } from '../feeds/worker-trust.ts';
import type { FeedSource } from './announced-feeds.ts';
import type { CanaryReport, Circumstances } from './canary-report.ts';
import { clientIdOf } from './client-id.ts';
import { EngineCalls } from './engine-calls.ts';
import { EngineHealth, type EngineState } from './engine-health.ts';
import { EngineProbe } from './engine-probe.ts';
import { reasonOf } from './health-words.ts';
import type { ModelEntry } from './listed-models.ts';
import { WorkerAccount } from './prompt-account.ts';
import type { TokenizerVerdict } from './tokenizer-verdict.ts';
import { Upstream, upstreamTls } from './upstream.ts';
import { isCapacityKnown, type ToldOfCache, type WorkerTraits } from './worker-traits.ts';

export class Engine {
  readonly spec: EngineSpec;
  readonly url: string;
  /** Shown to clients instead of the URL. */
  readonly clientId: string;
  readonly upstream: Upstream;
  readonly probe: EngineProbe;
  workers: readonly Worker[] = [];
  /** Its unusable statements about itself. */
  remarks: readonly string[] = [];
  tokenizer: TokenizerVerdict = { text: 'unchecked', chat: 'unchecked' };
  readonly health: EngineHealth = new EngineHealth();
  readonly calls: EngineCalls = new EngineCalls(this.health);
  /** It has reported cached tokens at least once, so an answer that omits them had none. */
  reportsCachedTokens = false;
  /** The log has a warning about its impossible usages. */
  toldMalformedUsage = false;
  #models: readonly ModelEntry[] = [];
  #modelOf: ReadonlyMap<string, ModelEntry> = new Map();
  #draining = false;
  #inFlight = 0;

  /**
   * @param tls of connections to it
   * @param linkLocal whether its name may resolve to a link-local address
   */
  constructor(spec: EngineSpec, tls: EngineTls = { ca: null, identity: null }, linkLocal = false) {
    this.spec = spec;
    this.url = spec.url;
    this.clientId = clientIdOf(spec.url);
    this.upstream = new Upstream(spec.url, upstreamTls(spec, tls, linkLocal));
    this.probe = new EngineProbe(spec.url, this.upstream, spec.apiKey);
  }

  /** Requests under way, including those of the pass-through and canaries. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Counts one request as under way. @returns ends it; further calls do nothing */
  enter(): () => void {
    this.#inFlight += 1;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#inFlight -= 1;
    };
  }

  get state(): EngineState {
    return this.health.state;
  }

  /** Why it is not ready, or null. */
  get reason(): string | null {
    return reasonOf(this.state, this.health.cause);
  }

  /** Whether new requests may go to it. */
  get takesRequests(): boolean {
    return this.isInUse && !this.#draining;
  }

  /** Ready or stalled, also while it is draining. */
  get isInUse(): boolean {
    return this.health.isInUse;
  }

  /** Whether other engines are preferred: it is stalled, full, or on trial with a request in flight. */
  isSecondChoice(nowMs: number): boolean {
    return this.health.isSecondChoice(nowMs, this.#inFlight);
  }

  /** It joined again after a failure and has not begun to answer a request since. */
  get onTrial(): boolean {
    return this.health.onTrial;
  }

  /** It gets no new requests, whatever its state; requests under way are finished. */
  get draining(): boolean {
    return this.#draining;
  }

  setDraining(draining: boolean): void {
    this.#draining = draining;
    this.applyRoutable();
  }

  /** Fills in a usage: vLLM 0.23 omits cached tokens if there are none. */
  complete(usage: Usage): Usage {
    if (usage.cachedTokens !== null) this.reportsCachedTokens = true;
    return usage.cachedTokens === null && this.reportsCachedTokens ? { ...usage, cachedTokens: 0 } : usage;
  }

  /** In the engine's order. */
  get models(): readonly ModelEntry[] {
    return this.#models;
  }

  set models(models: readonly ModelEntry[]) {
    this.#models = models;
    this.#modelOf = new Map(models.map((model) => [model.id, model]));
  }

  /** Undefined: the engine does not list the model. */
  model(id: string): ModelEntry | undefined {
    return this.#modelOf.get(id);
  }

  lists(model: string): boolean {
    return this.#modelOf.has(model);
  }

  /** Tells the routers whether its workers take requests; bookings stay. Call after each change of its health. */
  applyRoutable(): void {
    const routable = this.takesRequests;
    for (const { membership } of this.workers) membership?.router.setRoutable(membership.index, routable);
  }
}

/** Where a worker's blocks and bookings are kept. */
export interface Membership {
  readonly router: Router;
  readonly index: WorkerIndex;
}

/** KV events of a worker, applied and not. */
export interface EventCounters {
  appliedBlocks: number;
  orphanBlocks: number;
  unknownBlocks: number;
  /** Events of a form, kind or block size that can't be used. */
  skippedEvents: number;
  /** Of `skippedEvents`: those of a form or kind that can't be used. */
  readonly skipped: Partial<Record<SkipReason, number>>;
}

/** One routing target: a data-parallel rank of an engine. Health belongs to the engine, blocks and bookings to it. */
export class Worker {
  readonly id: string;
  /** Shown to clients instead of `id`. */
  readonly clientId: string;
  readonly engine: Engine;
  readonly rank: number;
  readonly events: EventCounters = {
    appliedBlocks: 0,
    orphanBlocks: 0,
    unknownBlocks: 0,
    skippedEvents: 0,
    skipped: {},
  };
  readonly account: WorkerAccount = new WorkerAccount();
  traits: WorkerTraits;
  told: ToldOfCache;
  /** Blocks that its events have announced since events were lost. */
  storedSinceLoss = 0;
  /** The latest; null: none yet. */
  canary: CanaryReport | null = null;
  /** Called with each store event while a canary waits for one; null: no canary does. */
  storedWatch: ((event: BlocksStored) => void) | null = null;
  /** The publisher of its KV events, whether they are used or not. */
  offeredFeed: FeedSource | null = null;
  /** The subscription; null: its KV events are not used. */
  feed: KvFeed | null = null;
  /** Why its feed could not be opened; null: it could, or none is wanted. */
  feedFault: string | null = null;
  /** Why its events are unusable although they arrive; null: they are usable. */
  eventsUnfit: 'attention-kind' | null = null;
  /** Null before the engine joins, and after it has left. */
  membership: Membership | null = null;

  constructor(engine: Engine, rank: number, traits: WorkerTraits, told: ToldOfCache) {
    this.id = `${engine.url}#${rank}`;
    this.clientId = `${engine.clientId}#${rank}`;
    this.engine = engine;
    this.rank = rank;
    this.traits = traits;
    this.told = told;
  }

  get circumstances(): Circumstances {
    const { traits, told, offeredFeed, engine } = this;
    return { traits, told, offered: offeredFeed !== null, tokenizer: engine.tokenizer };
  }

  /** How far the known blocks of this worker can be trusted now. */
  trust(nowMs: number): WorkerTrust {
    const { traits, feed, feedFault, eventsUnfit, membership, offeredFeed } = this;
    if (traits.source === 'approximate' || feed === null) return approximateTrust(offeredFeed !== null, feedFault);
    if (eventsUnfit !== null) return unfitTrust(eventsUnfit);
    const missedEvents = membership === null ? 0 : membership.router.missedEvents(membership.index, nowMs);
    const healing = {
      agreeing: this.account.agreeing,
      canAgree: this.engine.reportsCachedTokens,
      storedBlocks: this.storedSinceLoss,
      capacityBlocks: isCapacityKnown(traits) ? traits.capacityBlocks : null,
    };
    return feedTrust({
      feed: feed.status,
      missedEvents,
      healing,
      blockSize: traits.blockSize,
      pageSizeUnfit: traits.pageSizeUnfit,
    });
  }
}
