// One engine process behind a URL, and the workers in it: what is known of them, and whether they take requests.

import type { BlocksStored, Router, WorkerIndex } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { SkipReason } from '../../wire/kv-events.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
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
import { Upstream } from './upstream.ts';
import { isCapacityKnown, type ToldOfCache, type WorkerTraits } from './worker-traits.ts';

export class Engine {
  readonly spec: EngineSpec;
  readonly url: string;
  /** What clients are told instead. */
  readonly clientId: string;
  readonly upstream: Upstream;
  readonly probe: EngineProbe;
  workers: readonly Worker[] = [];
  /** What it says of itself, and can't be used. */
  remarks: readonly string[] = [];
  tokenizer: TokenizerVerdict = { text: 'unchecked', chat: 'unchecked' };
  readonly health: EngineHealth = new EngineHealth();
  readonly calls: EngineCalls = new EngineCalls(this.health);
  /** It has told how many prompt tokens it found in its cache, so it tells whenever there are some. */
  reportsCachedTokens = false;
  /** The log has said that it reports usages that can not be. */
  toldMalformedUsage = false;
  #models: readonly ModelEntry[] = [];
  #modelOf: ReadonlyMap<string, ModelEntry> = new Map();
  #draining = false;
  #inFlight = 0;

  /**
   * @param ca authorities that its certificate may come from, in PEM; null: those that Node trusts
   * @param linkLocal its name may lead to a link-local address
   */
  constructor(spec: EngineSpec, ca: string | null = null, linkLocal = false) {
    this.spec = spec;
    this.url = spec.url;
    this.clientId = clientIdOf(spec.url);
    this.upstream = new Upstream(spec.url, { ca, serverName: spec.serverName ?? null, linkLocal });
    this.probe = new EngineProbe(spec.url, this.upstream, spec.apiKey);
  }

  /** Requests under way, those of the pass-through and canaries included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Counts one request as under way. @returns ends that; every call but the first does nothing */
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

  /** Whether new requests may go there. */
  get takesRequests(): boolean {
    return this.isInUse && !this.#draining;
  }

  /** It has joined, and nothing is known to be wrong with it. */
  get isInUse(): boolean {
    return this.health.isInUse;
  }

  /** Others come first: it is stalled or full, or one request is just trying whether it works. */
  isSecondChoice(nowMs: number): boolean {
    return this.health.isSecondChoice(nowMs, this.#inFlight);
  }

  /** It is back after a failure, and has not begun to answer since. */
  get onTrial(): boolean {
    return this.health.onTrial;
  }

  /** Nothing new goes there, whatever its state; what is under way ends as it would. */
  get draining(): boolean {
    return this.#draining;
  }

  setDraining(draining: boolean): void {
    this.#draining = draining;
    this.applyRoutable();
  }

  /** What the usage of a complete answer means: some engines (vLLM 0.23) leave out cached tokens where there are none. */
  complete(usage: Usage): Usage {
    if (usage.cachedTokens !== null) this.reportsCachedTokens = true;
    return usage.cachedTokens === null && this.reportsCachedTokens ? { ...usage, cachedTokens: 0 } : usage;
  }

  /** In its order. */
  get models(): readonly ModelEntry[] {
    return this.#models;
  }

  set models(models: readonly ModelEntry[]) {
    this.#models = models;
    this.#modelOf = new Map(models.map((model) => [model.id, model]));
  }

  /** As it describes it; undefined: it does not list it. */
  model(id: string): ModelEntry | undefined {
    return this.#modelOf.get(id);
  }

  lists(model: string): boolean {
    return this.#modelOf.has(model);
  }

  /** Tells the routers whether its workers take requests; bookings stay. To be called when its health has changed. */
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

/** KV events applied and left out, in blocks. */
export interface EventCounters {
  appliedBlocks: number;
  orphanBlocks: number;
  unknownBlocks: number;
  /** Events of a form, kind or block size that can't be used. */
  skippedEvents: number;
  /** Of `skippedEvents`: those of a form or kind that can't be used. */
  readonly skipped: Partial<Record<SkipReason, number>>;
}

/** One routing target: a data-parallel rank of an engine. Health is the engine's, blocks and bookings are the rank's. */
export class Worker {
  readonly id: string;
  /** What clients are told instead. */
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
  /** Blocks that its events have told of since some were lost. */
  storedSinceLoss = 0;
  /** The newest; null: none has come back yet. */
  canary: CanaryReport | null = null;
  /** Sees every store of its events, for a while; null: nobody looks. */
  storedWatch: ((event: BlocksStored) => void) | null = null;
  /** The publisher of its KV events, whether they are used or not. */
  offeredFeed: FeedSource | null = null;
  /** The subscription; null: its KV events are not used. */
  feed: KvFeed | null = null;
  /** Why its feed could not be opened; null: it could, or none is wanted. */
  feedFault: string | null = null;
  /** Why its events can't tell of its blocks, although they come; null: they can. */
  eventsUnfit: 'attention-kind' | null = null;
  /** Null before the engine has joined. */
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

  /** How far what is known of its blocks can be trusted now. */
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
