// The page's figures: takes samples once a second, answers what the page asks, and tells those that look on.

import type { ServerResponse } from 'node:http';
import type { Decision, Prompt } from '../../core/index.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import type { Pools } from '../pools/pools.ts';
import type { DecisionLog, DecisionObserver, DecisionRecord } from '../telemetry/decision-log.ts';
import { costUnitOf } from './cost-terms.ts';
import { DecisionFeed } from './decision-feed.ts';
import { inFullOf, shortOf } from './decision-view.ts';
import { DoctorDesk, type Examine } from './doctor-desk.ts';
import { FleetHistory } from './fleet-history.ts';
import { type FleetSources, findingsOf, fleetOf, poolsOf, trustOf, workersOf } from './fleet-view.ts';
import { HourFigures } from './hour-figures.ts';
import type {
  DecisionInFull,
  DecisionList,
  History,
  PrefixMap,
  Recording,
  RouterState,
  Snapshot,
  Span,
  Truth,
} from './page-data.ts';
import { PrefixHeat } from './prefix-heat.ts';
import { prefixMapOf } from './prefix-view.ts';
import { TruthLedger } from './truth-ledger.ts';
import { truthOf } from './truth-view.ts';
import { eventText, Viewers } from './viewers.ts';
import { type RunWhatIf, recordingHowTo, WhatIfDesk } from './what-if-desk.ts';

const sampleMs = 1000;
/** Batches of decisions; only while somebody looks on. */
const batchMs = 250;
const sparklinesEverySamples = 5;
/** From this number of workers on, snapshots and sparklines are sent a quarter as often. */
const manyWorkers = 400;
const manyFactor = 4;
/** Decisions listed at a time. */
export const decisionsListedMax = 500;
/** The prefix map is made anew at most so often. */
const prefixMapMs = 1000;

export interface PageSources {
  readonly pools: Pools;
  /** Always the same array, kept up to date. */
  readonly engines: readonly Engine[];
  readonly decisions: () => DecisionLog;
  readonly config: () => GatewayConfig;
  readonly version: string;
  readonly tokenizerName: string;
  leaving(engine: Engine): boolean;
  stopping(): boolean;
  /** Threads that serve clients. */
  threads(): number;
  /** Routers that share this fleet, this one included. */
  routers(): number;
  /** Requests and connections refused or ended by a limit, by limit. */
  limited(): Promise<Readonly<Record<string, number>>>;
  /** Unix time of the recording's arrival 0; null: none is on. */
  recordingStartMs(): number | null;
  readonly runWhatIf: RunWhatIf | null;
  readonly whatIfPolicies: readonly string[];
  readonly examine: Examine | null;
}

export interface DecisionQuery {
  readonly worker: string | null;
  readonly model: string | null;
  readonly surprise: boolean;
  readonly retry: boolean;
  readonly limit: number;
}

export class Page implements DecisionObserver {
  readonly viewers: Viewers = new Viewers(() => performance.now());
  readonly doctor: DoctorDesk;
  readonly whatIf: WhatIfDesk;
  readonly #sources: PageSources;
  readonly #fleet: FleetSources;
  readonly #history: FleetHistory;
  readonly #truth = new TruthLedger();
  readonly #prefixes = new PrefixHeat();
  readonly #hour = new HourFigures();
  readonly #feed = new DecisionFeed();
  readonly #startedMs = Date.now();
  readonly #sampling: NodeJS.Timeout;
  #batching: NodeJS.Timeout | null = null;
  #batchedMs = 0;
  #samples = 0;
  #dueMs = performance.now() + sampleMs;
  #loopDelayMs: number | null = null;
  #limited: Readonly<Record<string, number>> = {};
  #prefixMap: PrefixMap | null = null;

  constructor(sources: PageSources) {
    const { pools, engines } = sources;
    this.#sources = sources;
    this.#history = new FleetHistory(pools, engines);
    this.#fleet = {
      ...{ pools, engines, history: this.#history, truth: this.#truth },
      leaving: (engine) => sources.leaving(engine),
    };
    this.doctor = new DoctorDesk({
      examine: sources.examine,
      engineOf: (id) =>
        engines.find(({ url, workers }) => url === id || workers.some((one) => one.id === id))?.spec ?? null,
      nowMs: () => Date.now(),
      changed: (state) => this.viewers.send(eventText('doctor', state)),
    });
    this.whatIf = new WhatIfDesk({
      run: sources.runWhatIf,
      policies: sources.whatIfPolicies,
      policy: () => sources.config().policy,
      recording: () => {
        const { record } = sources.config();
        const startMs = sources.recordingStartMs();
        return record === null || startMs === null ? null : { path: record, startMs };
      },
      workers: () =>
        [...pools].flatMap(({ router }) =>
          router.loads().map(({ capacityBlocks, blockSize, tokenGapMs }) => ({
            ...{ kvTokens: capacityBlocks * blockSize, blockSize },
            msPerToken: tokenGapMs > 0 ? tokenGapMs : null,
          })),
        ),
      happened: (minutes) => this.#happened(minutes),
      seed: sources.config().seed,
      nowMs: () => Date.now(),
      changed: (state) => this.viewers.send(eventText('what-if', state)),
    });
    this.#sampling = setInterval(() => this.#sample(), sampleMs);
    this.#sampling.unref();
  }

  routed(record: DecisionRecord): void {
    this.#history.routed(record);
    this.#hour.prefill(record.worker, record.decision.uncachedTokens);
    this.#feed.routed(record);
  }

  firstToken(record: DecisionRecord): void {
    this.#history.firstToken(record);
    this.#truth.firstToken(record);
    if (record.ttftMs !== null) this.#hour.firstToken(record.ttftMs);
    this.#feed.firstToken(record);
  }

  ended(record: DecisionRecord): void {
    this.#truth.ended(record);
    this.#feed.ended(record);
  }

  /** Whether the prompts of this decision are wanted by `prompts`; to be asked once for each decision. */
  wantsPrompts(): boolean {
    return this.#prefixes.wants();
  }

  prompts(pool: string, model: string, prompts: readonly Prompt[], decision: Decision): void {
    this.#prefixes.note(pool, model, prompts, decision, Date.now());
  }

  snapshot(): Snapshot {
    const workers = workersOf(this.#fleet, performance.now());
    return {
      timeMs: Date.now(),
      router: this.#router(),
      pools: poolsOf(this.#fleet),
      fleet: fleetOf(this.#fleet, workers),
      workers,
    };
  }

  /** @param worker null: the fleet @returns null if there is no such worker */
  history(worker: string | null, span: Span): History | null {
    return this.#history.history(worker, span);
  }

  decisionList({ worker, model, surprise, retry, limit }: DecisionQuery): DecisionList {
    const log = this.#sources.decisions();
    const decisions: DecisionList['decisions'][number][] = [];
    for (const record of log.records()) {
      if (decisions.length >= Math.min(limit, decisionsListedMax)) break;
      if (worker !== null && record.worker !== worker) continue;
      if (model !== null && record.model !== model) continue;
      if (retry && record.attempt === 1) continue;
      const short = shortOf(record);
      if (surprise && short.surprise === null) continue;
      decisions.push(short);
      this.#feed.listed(record);
    }
    return { decisions, kept: log.size, keptMax: log.max };
  }

  /** The attempts of a request, oldest first; empty if the log has it no longer. */
  decisionsInFull(requestId: string): DecisionInFull[] {
    const { pools } = this.#sources;
    const poolOf = (model: string): string => [...pools].find((pool) => pool.model(model) !== undefined)?.name ?? model;
    const records = this.#sources.decisions().ofRequest(requestId);
    return records.reverse().map((record) => inFullOf(record, poolOf(record.model)));
  }

  prefixMap(): PrefixMap {
    const nowMs = Date.now();
    if (this.#prefixMap === null || nowMs - this.#prefixMap.timeMs >= prefixMapMs) {
      this.#prefixMap = prefixMapOf(this.#prefixes, this.#sources.pools, nowMs);
    }
    return this.#prefixMap;
  }

  truth(span: Span): Truth {
    const workers = workersOf(this.#fleet, performance.now());
    return {
      ...this.#truth.series(span),
      totals: this.#truth.totals(),
      workers: truthOf(this.#sources.engines, performance.now()),
      findings: findingsOf(workers),
      verdict: trustOf(workers),
    };
  }

  /**
   * Opens the stream for one more page.
   * @param mayLook asked before each event
   * @returns false if there are `pageViewersMax` already
   */
  watch(response: ServerResponse, mayLook: () => boolean): boolean {
    if (this.viewers.count >= this.#sources.config().pageViewersMax) return false;
    this.#feed.turn(true);
    const first =
      eventText('snapshot', this.snapshot()) +
      eventText('sparklines', this.#history.sparklines()) +
      eventText('what-if', this.whatIf.state) +
      eventText('doctor', this.doctor.state);
    this.viewers.add(response, mayLook, first);
    if (this.#batching === null) {
      this.#batchedMs = performance.now();
      this.#batching = setInterval(() => this.#sendBatch(), batchMs);
      this.#batching.unref();
    }
    return true;
  }

  close(): void {
    clearInterval(this.#sampling);
    this.#stopBatching();
    this.viewers.close();
    this.whatIf.close();
  }

  /** Bytes of the histories. */
  get bytes(): number {
    return this.#history.bytes;
  }

  #sample(): void {
    const nowMs = performance.now();
    this.#loopDelayMs = Math.max(0, nowMs - this.#dueMs);
    this.#dueMs = nowMs + sampleMs;
    this.#samples += 1;
    this.#history.sample(Date.now(), nowMs);
    this.#truth.sample(Date.now());
    this.#prefixes.tick();
    if (this.#samples % 60 === 0) this.#hour.nextMinute();
    if (this.viewers.count > 0) this.#sendSnapshot();
  }

  #sendSnapshot(): void {
    void this.#sources.limited().then((limited) => {
      this.#limited = limited;
    });
    const isMany = this.#sources.engines.reduce((sum, { workers }) => sum + workers.length, 0) > manyWorkers;
    const factor = isMany ? manyFactor : 1;
    if (this.#samples % factor !== 0) return;
    this.viewers.send(eventText('snapshot', this.snapshot()));
    if (this.#samples % (factor * sparklinesEverySamples) !== 0) return;
    this.viewers.send(eventText('sparklines', this.#history.sparklines()));
  }

  #sendBatch(): void {
    if (this.viewers.count === 0) {
      this.#feed.turn(false);
      this.#stopBatching();
      return;
    }
    const nowMs = performance.now();
    const batch = this.#feed.take(nowMs - this.#batchedMs);
    this.#batchedMs = nowMs;
    if (batch !== null) this.viewers.send(eventText('decisions', batch));
  }

  #stopBatching(): void {
    if (this.#batching !== null) clearInterval(this.#batching);
    this.#batching = null;
  }

  #router(): RouterState {
    const { config, version, tokenizerName, stopping, threads, routers } = this.#sources;
    const { policy, pageViewersMax } = config();
    return {
      version,
      policy,
      costUnit: costUnitOf(policy),
      startedMs: this.#startedMs,
      stopping: stopping(),
      threads: threads(),
      recording: this.#recording(),
      tokenizer: tokenizerName,
      routers: routers(),
      viewers: this.viewers.count,
      viewersMax: pageViewersMax,
      limited: this.#limited,
      loopDelayMs: this.#loopDelayMs === null ? null : Math.round(this.#loopDelayMs * 10) / 10,
    };
  }

  #recording(): Recording {
    const { record } = this.#sources.config();
    const isOn = record !== null && this.#sources.recordingStartMs() !== null;
    return isOn ? { on: true, path: record } : { on: false, howTo: recordingHowTo };
  }

  #happened(minutes: number): ReturnType<ConstructorParameters<typeof WhatIfDesk>[0]['happened']> {
    const { requests, meanMs, quantileMs } = this.#hour.ttft(minutes);
    let workers = 0;
    for (const { workerIds } of this.#sources.pools) workers += workerIds.size;
    return {
      requests,
      ttftMeanMs: meanMs,
      ttftP50Ms: quantileMs(0.5),
      ttftP90Ms: quantileMs(0.9),
      ttftP99Ms: quantileMs(0.99),
      prefixHitRate: this.#truth.hitRateOfMinutes(minutes),
      imbalance: this.#hour.imbalance(minutes, workers),
    };
  }
}
