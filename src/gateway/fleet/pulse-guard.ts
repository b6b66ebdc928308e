// Measures an engine's silence for its health, asks /health when told to, and cuts the streams of a dead engine.

import { assumedPrefillTokensPerS } from '../../core/index.ts';
import type { Engine } from '../engines/engine.ts';
import { EngineSilent } from '../engines/engine-calls.ts';
import type { HealthChange } from '../engines/engine-health.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import { givenUpAfter, silentFor } from '../engines/health-words.ts';

const turnIntervalMs = 100;
/** Silence counted per turn; if a turn comes later than this, our own process was busy. */
const turnMsMax = 250;
/** Between calls of `offerElsewhere`. */
const offerIntervalMs = 1000;

export interface PulseActions {
  onChange(change: HealthChange): void;
  /** An internal error in a turn. */
  onFault(error: unknown): void;
}

export class PulseGuard {
  readonly #engine: Engine;
  readonly #actions: PulseActions;
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();
  #offeredMs = 0;

  constructor(engine: Engine, actions: PulseActions) {
    this.#engine = engine;
    this.#actions = actions;
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
    const { calls, health } = this.#engine;
    const { change, ask, overdue } = calls.advance(elapsedMs, calls.count === 0 ? 0 : this.#prefillMs());
    if (ask) this.#ask(health.question);
    try {
      if (change !== null) this.#actions.onChange(change);
    } finally {
      if (change?.kind === 'dead' || change?.kind === 'cut') {
        calls.breakOff(new EngineSilent(givenUpAfter(change.silentMs)));
      }
    }
    if (!overdue || nowMs - this.#offeredMs < offerIntervalMs) return;
    this.#offeredMs = nowMs;
    calls.offerElsewhere(new EngineSilent(`${silentFor(health.silenceMs)}, and another one is likely to be faster`));
  }

  #ask(question: number): void {
    const { health, probe } = this.#engine;
    probe.health().then(
      () => health.answered(question, 'alive'),
      (error: unknown) => health.answered(question, error instanceof ProbeError ? error.answer : 'none'),
    );
  }

  /** Expected time of the booked prefill: the longest of its workers. */
  #prefillMs(): number {
    let longestMs = 0;
    for (const { membership } of this.#engine.workers) {
      if (membership === null) continue;
      const { activePrefillTokens, othersPrefillTokens, prefillTokensPerS } = membership.router.load(membership.index);
      const tokensPerS = prefillTokensPerS || assumedPrefillTokensPerS;
      longestMs = Math.max(longestMs, ((activePrefillTokens + othersPrefillTokens) / tokensPerS) * 1000);
    }
    return longestMs;
  }
}
