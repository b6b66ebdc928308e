// Follows one engine through its life: joins it to a pool, looks after it, loses it, finds it again.

import type { Logger } from 'pino';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import { FailureStreak } from '../engines/failure-streak.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import type { FeedCommons } from '../feeds/feed-commons.ts';
import type { Pools } from '../pools/pools.ts';
import { type CanaryContext, sendCanary } from '../proof/canary.ts';
import { CanarySchedule } from './canary-schedule.ts';
import { type EngineFacts, EngineUnfit, learnFacts } from './engine-facts.ts';
import { EngineWorkers } from './engine-workers.ts';
import { logJoined } from './join-log.ts';
import { PulseGuard } from './pulse-guard.ts';
import { canBeSpared } from './spare-engines.ts';
import { unreachedAdvice } from './unreached-advice.ts';
import { UnreachedLog } from './unreached-log.ts';

/** Between two looks at an engine that is ready. */
const readyIntervalMs = 5000;
/** Probes without an answer until a ready engine counts as down; one refused connection is enough. */
const missedProbesMax = 3;
/** An engine that could not be taken in rests twice as long after each further time, up to this. */
const faultRestMsMax = 300_000;
/** Between two looks at the models of an engine that is ready, for adapters that are loaded and dropped while it runs. */
const probeIntervalsPerModels = 10;
/** Between two tries to open a feed that could not be opened. */
const feedRetryMs = 30_000;

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
  #missedProbes = 0;
  readonly #streak = new FailureStreak();
  readonly #pulse: PulseGuard;
  readonly #canaries: CanarySchedule;
  /** It failed, so it has to prove itself when it is back. */
  #proves = false;
  #restUntilMs = 0;
  /** The process was seen to be gone: what it held in its cache is lost. */
  #processGone = false;
  /** Errors in a row that nobody expected while the engine was looked after. */
  #faults = 0;
  #feedRetryDueMs = 0;
  #modelsDueMs = 0;
  readonly #unreached: UnreachedLog;

  constructor(engine: Engine, context: MonitorContext) {
    const { config, tokenizer, pools } = context;
    this.engine = engine;
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#pools = pools;
    this.#log = context.log.child({ engine: engine.url });
    this.#unreached = new UnreachedLog(this.#log, 'engine not reached');
    this.#workers = new EngineWorkers(engine, { ...context, log: this.#log });
    this.#pulse = new PulseGuard(
      engine,
      {
        onStalled: (reason) => this.#stalled(reason),
        onHeard: () => this.#heard(),
        onDead: (reason) => this.#dead(reason),
        onFault: (error) => this.#fault(error),
      },
      this.#log,
    );
    this.#canaries = new CanarySchedule(engine, config, (worker) => sendCanary(worker, context), this.#log);
  }

  /** Runs until `close`. Never rejects: whatever goes wrong with an engine is that engine's state. */
  async run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#look();
      } catch (error) {
        this.#fault(error);
      }
      if (this.#closed) return;
      const restMs = this.#restUntilMs - performance.now();
      await this.#sleep(this.engine.isInUse ? readyIntervalMs : Math.max(this.#config.probeIntervalMs, restMs));
    }
  }

  async #look(): Promise<void> {
    if (this.engine.state === 'ready') await this.#check();
    // A stalled engine is asked for its health by the guard of its pulse.
    else if (this.engine.state !== 'stalled' && performance.now() >= this.#restUntilMs) await this.#join();
  }

  /** A request could not connect: no further one goes there until a probe has. */
  suspect(reason: string, refused: boolean): void {
    this.#processGone ||= refused;
    if (!this.engine.isInUse) return;
    this.#proves = true;
    this.engine.setState('suspect', reason);
    this.#log.warn({ reason }, 'engine suspected');
    this.#wake?.();
  }

  /** A request failed in its hands; some in a row, or the one on trial, put it out, if it can be spared. */
  failed(reason: string): void {
    if (!this.engine.isInUse) return;
    if (canBeSpared(this.engine, this.#pools.poolOf(this.engine)!) && this.#streak.failed(this.engine.onTrial))
      this.#putOut(reason);
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
    this.#pulse.close();
    this.#wake?.();
    this.#workers.closeFeeds();
    await this.engine.upstream.close();
  }

  /** Out until it has rested; then it has to prove itself. */
  #putOut(reason: string): void {
    this.#proves = true;
    this.#restUntilMs = performance.now() + this.#streak.restMs;
    this.engine.setState('down', reason);
    this.#log.warn({ reason, restMs: this.#streak.restMs }, 'engine out');
  }

  #stalled(reason: string): void {
    if (this.engine.state === 'ready') this.engine.setState('stalled', reason);
  }

  #heard(): void {
    if (this.engine.state === 'stalled') this.engine.setState('ready', null);
  }

  #dead(reason: string): void {
    const { state, isInUse } = this.engine;
    if (!isInUse && state !== 'suspect') return;
    this.engine.setState('down', reason);
    this.#log.warn({ reason }, 'engine down');
    this.#wake?.();
  }

  async #check(): Promise<void> {
    try {
      await this.engine.probe.health();
      this.#missedProbes = 0;
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      // An engine without /health is not ill; one that answers with 5xx says that it is.
      if (error.status === 0 || error.status >= 500) {
        this.#missedProbes += 1;
        if (error.refused || error.status >= 500 || this.#missedProbes >= missedProbesMax) this.#lost(error);
        return;
      }
    }
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#canaries.tick(nowMs);
    if (nowMs >= this.#modelsDueMs) await this.#refreshModels();
    if (this.#closed || nowMs < this.#feedRetryDueMs) return;
    this.#feedRetryDueMs = nowMs + feedRetryMs;
    this.#workers.retryFeeds();
  }

  async #refreshModels(): Promise<void> {
    const { engine } = this;
    this.#modelsDueMs = performance.now() + probeIntervalsPerModels * this.#config.probeIntervalMs;
    if (engine.spec.model !== undefined) return;
    let models: readonly ModelEntry[];
    try {
      models = await engine.probe.models();
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      // Its health is looked at elsewhere; what it listed last stands.
      this.#log.debug({ reason: error.message }, 'models not listed');
      return;
    }
    if (this.#closed || engine.state !== 'ready') return;
    if (this.#workers.adoptModels(models)) return;
    engine.setState('joining', 'it serves other models than before');
    this.#log.warn({ models: models.length }, 'engine serves other models: it joins anew');
    this.#wake?.();
  }

  #lost(error: ProbeError): void {
    this.#processGone ||= error.refused;
    const { state } = this.engine;
    const first = this.engine.isInUse || state === 'suspect';
    const advice = unreachedAdvice(this.engine.url, error);
    const reason = advice === null ? error.message : `${error.message}: ${advice}`;
    this.engine.setState(state === 'joining' || state === 'refused' ? state : 'down', reason);
    this.#proves ||= first;
    const nowMs = performance.now();
    if (first) {
      this.#unreached.lost(reason, nowMs);
      this.#log.warn({ reason }, 'engine down');
    } else this.#unreached.missed(reason, nowMs);
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
    this.#workers.adopt(facts, this.#processGone);
    this.#processGone = false;
    await this.#workers.whenCurrent();
    if (this.#closed) return;
    this.#missedProbes = 0;
    this.engine.onTrial = this.#proves;
    this.#proves = false;
    this.engine.setState('ready', null);
    this.#unreached.reached();
    this.#modelsDueMs = performance.now() + probeIntervalsPerModels * this.#config.probeIntervalMs;
    this.#logJoined();
    this.#canaries.joined();
    this.#faults = 0;
  }

  #logJoined(): void {
    const circumstances = {
      pool: this.#pools.poolOf(this.engine)!,
      tokenizerName: this.#tokenizer?.name ?? this.#config.tokenizer,
      log: this.#log,
    };
    for (const worker of this.engine.workers) logJoined(worker, circumstances);
  }

  /** An error has put it out, and it is not yet to be taken in again. */
  get #rests(): boolean {
    return this.engine.state === 'refused' && performance.now() < this.#restUntilMs;
  }

  /**
   * An error that nobody expected ends this engine's part in routing, not the process: what was half done is undone,
   * and the engine is taken in again ever more rarely.
   */
  #fault(error: unknown): void {
    if (this.#closed || this.#rests) return;
    const restMs = Math.min(faultRestMsMax, this.#config.probeIntervalMs * 2 ** this.#faults);
    this.#faults += 1;
    this.#restUntilMs = performance.now() + restMs;
    this.#proves = true;
    const reason = `it could not be taken in: ${error instanceof Error ? error.message : String(error)}`;
    this.#log.error({ err: error, restMs }, 'engine out: an error of ours in its care');
    this.#workers.dismiss();
    this.engine.setState('refused', reason);
  }

  #refuse(error: EngineUnfit): void {
    if (this.engine.state !== 'refused' || this.engine.reason !== error.message) {
      this.#log.error({ reason: error.message }, 'engine refused');
    }
    this.engine.setState('refused', error.message);
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
