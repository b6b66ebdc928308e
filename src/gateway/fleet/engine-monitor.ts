// Drives the state machine of one engine's health (engine-health.ts): probes the engine and joins it to a pool.

import type { Logger } from 'pino';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import { asksForLook, type HealthChange } from '../engines/engine-health.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import type { FeedCommons } from '../feeds/feed-commons.ts';
import type { Pools } from '../pools/pools.ts';
import { type CanaryContext, sendCanary } from '../proof/canary.ts';
import { CanarySchedule } from './canary-schedule.ts';
import { type EngineFacts, EngineUnfit, learnFacts } from './engine-facts.ts';
import { EngineWorkers } from './engine-workers.ts';
import { HealthLog } from './health-log.ts';
import { logJoined } from './join-log.ts';
import { PulseGuard } from './pulse-guard.ts';
import { canBeSpared } from './spare-engines.ts';
import { unreachedAdvice } from './unreached-advice.ts';

/** Probe intervals between requests for the models of a ready engine, which may load and unload adapters. */
const probeIntervalsPerModels = 10;
/** Between attempts to open a feed that could not be opened. */
const feedRetryMs = 30_000;
/** Between two looks because events were disconnected. */
const lookPauseMs = 1000;

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
  readonly #workers: EngineWorkers;
  readonly #log: Logger;
  #closed = false;
  #wake: (() => void) | null = null;
  /** `#lookNow` was called while a look was under way. */
  #lookAgain = false;
  readonly #pulse: PulseGuard;
  readonly #canaries: CanarySchedule;
  #feedRetryDueMs = 0;
  #modelsDueMs = 0;
  #noLookBeforeMs = 0;
  #modelsAsked = 0;
  readonly #healthLog: HealthLog;

  constructor(engine: Engine, context: MonitorContext) {
    const { config, tokenizer, pools } = context;
    this.engine = engine;
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#pools = pools;
    this.#log = context.log.child({ engine: engine.url });
    this.#healthLog = new HealthLog(engine, this.#log);
    this.#workers = new EngineWorkers(engine, {
      ...context,
      log: this.#log,
      onDisconnected: () => this.#lookAfterDisconnect(),
    });
    this.#pulse = new PulseGuard(engine, {
      onChange: (change) => this.#apply(change),
      onFault: (error) => this.#fault(error),
    });
    this.#canaries = new CanarySchedule(engine, config, (worker) => sendCanary(worker, context), this.#log);
  }

  /** Runs until `close`. Never rejects: every error becomes the engine's state. */
  async run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#look();
      } catch (error) {
        this.#fault(error);
      }
      if (this.#closed) return;
      const { probeIntervalMs } = this.#config;
      await this.#sleep(this.engine.health.waitMs(performance.now(), probeIntervalMs, this.#workers.isListening));
    }
  }

  /** To be called when a request could not connect. @param refused nothing listens at the address */
  suspect(reason: string, refused: boolean): void {
    this.#apply(this.engine.health.unreachable(reason, refused));
  }

  /** To be called when a request failed at the engine. */
  failed(reason: string): void {
    const { engine } = this;
    if (!engine.isInUse) return;
    const spare = canBeSpared(engine, this.#pools.poolOf(engine)!);
    this.#apply(engine.health.failed(performance.now(), reason, spare));
  }

  /** Removes its workers from their pool, with their bookings. */
  leave(): void {
    this.#pools.leave(this.engine);
    this.engine.workers = [];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pulse.close();
    this.#lookNow();
    this.#workers.closeFeeds();
    await this.engine.upstream.close();
  }

  async #look(): Promise<void> {
    switch (this.engine.health.task(performance.now())) {
      case 'check':
        return this.#check();
      case 'join':
        return this.#join();
      case 'nothing':
    }
  }

  /** Applies a change of its health. @param error cause of a `fault` */
  #apply(change: HealthChange | null, error?: unknown): void {
    if (change === null) return;
    this.engine.applyRoutable();
    this.#healthLog.tell(change, performance.now(), error);
    if (asksForLook(change)) this.#lookNow();
  }

  async #check(): Promise<void> {
    const { probe, health } = this.engine;
    try {
      await probe.health();
      health.probed('alive', '');
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      this.#apply(health.probed(error.answer, this.#reasonOf(error)));
      if (error.answer !== 'alive') return;
    }
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#canaries.tick(nowMs);
    if (nowMs >= this.#modelsDueMs) await this.#refreshModels();
    if (this.#closed || nowMs < this.#feedRetryDueMs) return;
    this.#feedRetryDueMs = nowMs + feedRetryMs;
    this.#workers.retryFeeds();
  }

  /** Asks for the engine's models at once. Never rejects. */
  async listModels(): Promise<void> {
    try {
      if (!this.#closed) await this.#refreshModels();
    } catch (error) {
      this.#fault(error);
    }
  }

  async #refreshModels(): Promise<void> {
    const { engine } = this;
    this.#modelsAsked += 1;
    const asked = this.#modelsAsked;
    this.#modelsDueMs = performance.now() + probeIntervalsPerModels * this.#config.probeIntervalMs;
    if (engine.spec.model !== undefined) return;
    let models: readonly ModelEntry[];
    try {
      models = await engine.probe.models();
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      // Other probes decide its health; the last list stays.
      this.#log.debug({ reason: error.message }, 'models not listed');
      return;
    }
    // Only the answer to the latest question counts.
    if (this.#closed || engine.state !== 'ready' || asked !== this.#modelsAsked) return;
    if (this.#workers.adoptModels(models)) return;
    this.#apply(engine.health.otherModels('it serves other models than before'));
  }

  #reasonOf(error: ProbeError): string {
    const advice = unreachedAdvice(this.engine.url, error);
    return advice === null ? error.message : `${error.message}: ${advice}`;
  }

  async #join(): Promise<void> {
    const { health } = this.engine;
    let facts: EngineFacts;
    try {
      facts = await learnFacts(this.engine, this.#config, this.#tokenizer);
    } catch (error) {
      if (this.#closed) return;
      if (error instanceof ProbeError) this.#apply(health.unreached(this.#reasonOf(error), error.refused));
      else if (error instanceof EngineUnfit) this.#apply(health.unfit(error.message));
      else throw error;
      return;
    }
    if (this.#closed) return;
    this.#workers.adopt(facts, health.takeProcessGone());
    await this.#workers.whenCurrent();
    if (this.#closed) return;
    this.#apply(health.joined());
    this.#modelsDueMs = performance.now() + probeIntervalsPerModels * this.#config.probeIntervalMs;
    this.#logJoined();
    this.#canaries.joined();
  }

  #logJoined(): void {
    const circumstances = {
      pool: this.#pools.poolOf(this.engine)!,
      tokenizerName: this.#tokenizer?.name ?? this.#config.tokenizer,
      log: this.#log,
    };
    for (const worker of this.engine.workers) logJoined(worker, circumstances);
  }

  /**
   * An internal error takes this engine out of routing and leaves the process running. Half-made workers are dismissed,
   * and the engine joins again after a rest that doubles each time.
   */
  #fault(error: unknown): void {
    if (this.#closed) return;
    const reason = `internal error: ${error instanceof Error ? error.message : String(error)}`;
    const change = this.engine.health.fault(performance.now(), reason, this.#config.probeIntervalMs);
    if (change === null) return;
    this.#workers.dismiss();
    this.#apply(change, error);
  }

  /** The events of a killed process end with it; a publisher that comes and goes causes one look a second. */
  #lookAfterDisconnect(): void {
    const nowMs = performance.now();
    if (this.#closed || !this.engine.isInUse || nowMs < this.#noLookBeforeMs) return;
    this.#noLookBeforeMs = nowMs + lookPauseMs;
    this.#lookNow();
  }

  #lookNow(): void {
    this.#lookAgain = true;
    this.#wake?.();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        this.#lookAgain = false;
        resolve();
      };
      const timer = setTimeout(end, this.#lookAgain ? 0 : ms);
      this.#wake = end;
    });
  }
}
