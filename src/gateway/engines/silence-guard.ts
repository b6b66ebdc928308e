// Acts on an engine's silence: asks whether it lives, keeps new requests away, and at last ends those that wait for it.

import type { Logger } from 'pino';
import type { Engine } from './engine.ts';
import { EngineSilent } from './engine-calls.ts';
import { ProbeError } from './engine-probe.ts';

const turnIntervalMs = 100;
/** A turn that comes later than that says more of this process than of the engine: only so much counts as silence. */
const turnMsMax = 250;
/** Prefill speed of a worker before any was observed. */
const prefillTokensPerSAssumed = 2000;
/** An engine that takes longer to answer a probe has missed it. */
const probeMsMax = 1000;
/** Probes that an engine misses in a row, with nothing heard of it in between, until it is out. */
const missedProbesMax = 3;

export interface SilenceActions {
  /** No new request is to go there. */
  onSuspect(reason: string): void;
  /** It was suspected, and is heard again. */
  onHeard(): void;
  /** It is out. @param lives it answers probes, if nothing else */
  onLost(reason: string, lives: boolean): void;
  /** Its silence can't be judged: an error that nobody expected. */
  onFault(error: unknown): void;
}

/** A row of probes without an answer. */
interface Probing {
  /** How long the probe under way has been waited for; null: there is none. */
  askedMs: number | null;
  /** Since the last probe ended. */
  restedMs: number;
  missed: number;
  /** Nothing listens there, or it says itself that it is ill. */
  failed: boolean;
}

export class SilenceGuard {
  readonly #engine: Engine;
  readonly #actions: SilenceActions;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();
  #suspected = false;
  #probing: Probing = noProbing();

  constructor(engine: Engine, actions: SilenceActions, log: Logger) {
    this.#engine = engine;
    this.#actions = actions;
    this.#log = log;
    this.#timer = setInterval(() => this.#tick(), turnIntervalMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    try {
      this.#turn();
    } catch (error) {
      this.#actions.onFault(error);
    }
  }

  #turn(): void {
    const nowMs = performance.now();
    const elapsedMs = Math.min(nowMs - this.#lastMs, turnMsMax);
    this.#lastMs = nowMs;
    const { calls } = this.#engine;
    if (calls.count === 0) {
      this.#atEase();
      return;
    }
    const verdict = calls.advance(elapsedMs, this.#prefillMs());
    if (verdict === 'well') {
      this.#atEase();
      return;
    }
    if (verdict !== 'quiet' && !this.#suspected) this.#suspect();
    this.#probe(elapsedMs);
    const { missed, failed } = this.#probing;
    if (failed || missed >= (this.#suspected ? 1 : missedProbesMax)) this.#lose('and does not answer /health', false);
    else if (verdict === 'hung') this.#lose('although it answers /health', true);
  }

  #atEase(): void {
    this.#probing = noProbing();
    if (!this.#suspected) return;
    this.#suspected = false;
    this.#log.info('engine heard again');
    this.#actions.onHeard();
  }

  #suspect(): void {
    this.#suspected = true;
    const reason = this.#reason();
    this.#log.warn({ reason, requestsInFlight: this.#engine.calls.count }, 'engine suspected');
    // What was asked before counts no more: the suspected engine has a whole `probeMsMax` for one more answer.
    this.#probing = noProbing();
    this.#actions.onSuspect(reason);
  }

  #lose(how: string, lives: boolean): void {
    const error = new EngineSilent(`${this.#reason()} ${how}`);
    this.#suspected = false;
    this.#probing = noProbing();
    this.#actions.onLost(error.message, lives);
    this.#engine.calls.breakOff(error);
  }

  #reason(): string {
    return `it has been silent for ${Math.round(this.#engine.calls.silenceMs)} ms`;
  }

  /** One probe at a time; one that is not answered is missed once every `probeMsMax`. */
  #probe(elapsedMs: number): void {
    const probing = this.#probing;
    if (probing.askedMs !== null) {
      probing.askedMs += elapsedMs;
      if (probing.askedMs < probeMsMax) return;
      probing.askedMs = 0;
      probing.missed += 1;
      return;
    }
    probing.restedMs += elapsedMs;
    if (probing.restedMs < probeMsMax) return;
    probing.askedMs = 0;
    void this.#engine.probe.health().then(
      () => this.#answered(probing, null),
      (error: unknown) => this.#answered(probing, error),
    );
  }

  #answered(probing: Probing, error: unknown): void {
    probing.askedMs = null;
    probing.restedMs = 0;
    const status = error instanceof ProbeError ? error.status : 0;
    // An engine without /health is not ill.
    if (error === null || (status > 0 && status < 500)) probing.missed = 0;
    else if (status >= 500 || (error instanceof ProbeError && error.refused)) probing.failed = true;
    else probing.missed += 1;
  }

  /** Time that the prefill booked there should take. */
  #prefillMs(): number {
    let longestMs = 0;
    for (const { membership } of this.#engine.workers) {
      if (membership === null) continue;
      const { activePrefillTokens, prefillTokensPerS } = membership.router.load(membership.index);
      const tokensPerS = prefillTokensPerS === 0 ? prefillTokensPerSAssumed : prefillTokensPerS;
      longestMs = Math.max(longestMs, (activePrefillTokens / tokensPerS) * 1000);
    }
    return longestMs;
  }
}

function noProbing(): Probing {
  return { askedMs: null, restedMs: Number.POSITIVE_INFINITY, missed: 0, failed: false };
}
