// Feeds an engine's pulse with time and with what /health answers, and acts on what it says.

import type { Logger } from 'pino';
import { assumedPrefillTokensPerS } from '../../core/index.ts';
import type { Engine } from '../engines/engine.ts';
import { EngineSilent } from '../engines/engine-calls.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import type { HealthAnswer, PulseState } from '../engines/engine-pulse.ts';

const turnIntervalMs = 100;
/** A turn that comes later than that says more of this process than of the engine: only so much counts as silence. */
const turnMsMax = 250;
/** Between two offers to requests without a token to go elsewhere. */
const offerIntervalMs = 1000;

export interface PulseActions {
  /** Other engines come first. */
  onStalled(reason: string): void;
  /** It was stalled, and is heard again. */
  onHeard(): void;
  /** It is out. */
  onDead(reason: string): void;
  /** The look at it failed by an error of ours. */
  onFault(error: unknown): void;
}

export class PulseGuard {
  readonly #engine: Engine;
  readonly #actions: PulseActions;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();
  #offeredMs = 0;
  #before: PulseState = 'well';

  constructor(engine: Engine, actions: PulseActions, log: Logger) {
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
    const { state, ask, overdue } = calls.advance(elapsedMs, calls.count === 0 ? 0 : this.#prefillMs());
    if (ask) this.#ask(calls.pulse.question);
    this.#changed(state);
    if (!overdue || nowMs - this.#offeredMs < offerIntervalMs) return;
    this.#offeredMs = nowMs;
    calls.offerElsewhere(new EngineSilent(`${this.#reason()}, and another one is likely to be faster`));
  }

  #changed(state: PulseState): void {
    const before = this.#before;
    if (state === before) return;
    this.#before = state;
    switch (state) {
      case 'well':
        this.#log.info('engine heard again');
        this.#actions.onHeard();
        return;
      case 'stalled':
        this.#log.warn({ reason: this.#reason(), requestsInFlight: this.#engine.calls.count }, 'engine stalled');
        this.#actions.onStalled(this.#reason());
        return;
      case 'dead': {
        const error = new EngineSilent(`${this.#reason()} and does not answer /health`);
        // Whatever is sent there later starts anew.
        this.#before = 'well';
        this.#actions.onDead(error.message);
        this.#engine.calls.breakOff(error);
        this.#engine.calls.pulse.heard();
      }
    }
  }

  #reason(): string {
    return `it has been silent for ${Math.round(this.#engine.calls.pulse.silenceMs)} ms`;
  }

  #ask(question: number): void {
    const { pulse } = this.#engine.calls;
    this.#engine.probe.health().then(
      () => pulse.answered(question, 'alive'),
      (error: unknown) => pulse.answered(question, answerOf(error)),
    );
  }

  /** Time that the prefill booked there should take. */
  #prefillMs(): number {
    let longestMs = 0;
    for (const { membership } of this.#engine.workers) {
      if (membership === null) continue;
      const { activePrefillTokens, prefillTokensPerS } = membership.router.load(membership.index);
      const tokensPerS = prefillTokensPerS || assumedPrefillTokensPerS;
      longestMs = Math.max(longestMs, (activePrefillTokens / tokensPerS) * 1000);
    }
    return longestMs;
  }
}

function answerOf(error: unknown): HealthAnswer {
  if (!(error instanceof ProbeError)) return 'none';
  // An engine without /health is not ill.
  if (error.status > 0 && error.status < 500) return 'alive';
  return error.status >= 500 || error.refused ? 'ill' : 'none';
}
