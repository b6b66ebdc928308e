// The health of one engine: whether it takes requests, whether others are preferred, when it is probed. All of it is
// decided here, by a state machine without clock, I/O or log. `EngineMonitor` drives it.
//
//     joining ──┐                       request could not connect
//     refused ──┤ joined  ┌─ ready ─────────────────────────────▶ suspect ── joined ──▶ ready
//     down ─────┴────────▶│  ▲  │                                    │
//      ▲                  │  │  │ silent      the pulse: too long;   │
//      │                  │  │  ▼             heard: back to ready   │
//      │                  └─ stalled                                 │
//      └─────── lost, dead, or out ──────────────────────────────────┘
//
//     event           in state           leads to  effect
//     joined          any but in use     ready     takes requests; on trial if it must prove itself
//     unreachable     in use             suspect   probe now; must prove itself
//     failed          in use             down      "out", if it can be spared, after 5 failures in a row, 1 on trial or
//                                                  1 since it was out last: rests, must prove itself. Probe now anyway
//     probe failed    in use, suspect    down      "lost": refused, 5xx or the third miss; must prove itself
//                     joining, refused   the same
//     dead            in use, suspect    down      streams are cut in any state; probe now
//     unfit           any                refused
//     internal error  any                refused   rests, must prove itself; its workers are dismissed
//     other models    in use             joining   probe now
//
// In use: ready or stalled. Only these take requests. `stalled` is `ready` while engine-pulse.ts reports a stall. An
// engine on trial gets one request at a time as long as other engines can take the rest; its first token ends the
// trial. failure-streak.ts counts failures in a row and sets the rest.

import { EnginePulse, type Expected, type HealthAnswer } from './engine-pulse.ts';
import { FailureStreak } from './failure-streak.ts';

/** Unanswered probes in a row that make an idle engine count as down. One refused connection or 5xx is enough. */
export const missedProbesMax = 3;
/** Between probes of an engine in use whose KV events' connection would tell at once that its process has ended. */
const inUseIntervalMs = 5000;
/** Without such a connection. */
const unheardIntervalMs = 1500;
/** The rest after an internal error doubles with each further one, up to this. */
export const faultRestMsMax = 300_000;
/** How long other engines are preferred to one that refused a request because it was full. */
const fullMs = 1000;

/**
 * `joining`: not reached yet. `ready`: takes requests. `stalled`: silent for longer than normal; other engines are
 * preferred. `suspect`: a request could not connect, a probe is under way. `down`: lost, dead or out. `refused`: unfit
 * for use, or set aside after an internal error.
 */
export type EngineState = 'joining' | 'ready' | 'stalled' | 'suspect' | 'down' | 'refused';

/** Why an engine is not ready: a text, or how long it had been silent when it was given up. */
export type HealthCause = string | { readonly silentMs: number };

/** The effect of an event. */
export type HealthChange =
  | { readonly kind: 'joined' | 'suspected' | 'lost' | 'unreached' | 'unfit' | 'other-models' }
  /** A request failed; the engine stays in use. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'out' | 'fault'; readonly restMs: number }
  | { readonly kind: 'stalled' | 'heard' }
  /** Cut its streams. `cut`: it was already out of use. */
  | { readonly kind: 'dead' | 'cut'; readonly silentMs: number };

/** What to do after some silence. */
export interface SilenceStep {
  readonly change: HealthChange | null;
  /** Ask /health now and pass the result to `answered`. */
  readonly ask: boolean;
  /** Stalled for so long that requests without a token may move to another engine. */
  readonly overdue: boolean;
}

/** What the monitor does when it wakes: probe /health, try to join, or nothing. */
export type HealthTask = 'check' | 'join' | 'nothing';

const looksNow: ReadonlySet<HealthChange['kind']> = new Set(['suspected', 'failed', 'out', 'dead', 'other-models']);

/** Whether the monitor must wake now rather than at the next interval. */
export function asksForLook({ kind }: HealthChange): boolean {
  return looksNow.has(kind);
}

export class EngineHealth {
  readonly #pulse = new EnginePulse();
  readonly #streak = new FailureStreak();
  /** `stalled` is derived: see `state`. */
  #life: Exclude<EngineState, 'stalled'> = 'joining';
  #cause: HealthCause | null = null;
  /** Whether the last change reported was to `stalled`. */
  #toldStalled = false;
  #missedProbes = 0;
  /** It failed: it will be on trial when it joins again. */
  #mustProve = false;
  #onTrial = false;
  #restUntilMs = 0;
  /** Internal errors in a row, without an answered probe in between. */
  #faults = 0;
  #fullUntilMs = 0;
  #processGone = false;

  get state(): EngineState {
    return this.#life === 'ready' && this.#pulse.state !== 'well' ? 'stalled' : this.#life;
  }

  /** Null: ready. */
  get cause(): HealthCause | null {
    return this.state === 'stalled' ? { silentMs: this.#pulse.silenceMs } : this.#cause;
  }

  /** It takes requests. */
  get isInUse(): boolean {
    return this.#life === 'ready';
  }

  /** It joined again after a failure and has not begun to answer a request since. */
  get onTrial(): boolean {
    return this.#onTrial;
  }

  get silenceMs(): number {
    return this.#pulse.silenceMs;
  }

  /** Id of the next /health question, to be passed to `answered`. */
  get question(): number {
    return this.#pulse.question;
  }

  /** Whether other engines are preferred: it is stalled, full, or on trial with a request in flight. */
  isSecondChoice(nowMs: number, inFlight: number): boolean {
    return this.state === 'stalled' || nowMs < this.#fullUntilMs || (this.#onTrial && inFlight > 0);
  }

  task(nowMs: number): HealthTask {
    // A stalled engine is asked by `advance`.
    if (this.#life === 'ready') return this.state === 'stalled' ? 'nothing' : 'check';
    return nowMs < this.#restUntilMs ? 'nothing' : 'join';
  }

  /**
   * Until the monitor wakes next.
   * @param probeIntervalMs between attempts to join
   * @param isListening its KV events are connected
   */
  waitMs(nowMs: number, probeIntervalMs: number, isListening = false): number {
    if (this.isInUse) return isListening ? inUseIntervalMs : unheardIntervalMs;
    return Math.max(probeIntervalMs, this.#restUntilMs - nowMs);
  }

  /** Whether the process, and with it its cache, was found gone since the last call. */
  takeProcessGone(): boolean {
    const gone = this.#processGone;
    this.#processGone = false;
    return gone;
  }

  joined(): HealthChange {
    this.#missedProbes = 0;
    this.#onTrial = this.#mustProve;
    this.#mustProve = false;
    this.#become('ready', null);
    return { kind: 'joined' };
  }

  /** @param answer to a probe of an idle engine */
  probed(answer: HealthAnswer, reason: string): HealthChange | null {
    if (answer === 'alive') {
      this.#missedProbes = 0;
      this.#faults = 0;
      return null;
    }
    this.#missedProbes += 1;
    if (answer === 'none' && this.#missedProbes < missedProbesMax) return null;
    return this.unreached(reason, answer === 'refused');
  }

  /** It could not be joined, or no longer answers probes. @param refused nothing listens at its address */
  unreached(reason: string, refused: boolean): HealthChange {
    this.#processGone ||= refused;
    const isLoss = this.isInUse || this.#life === 'suspect';
    this.#mustProve ||= isLoss;
    this.#become(this.#life === 'joining' || this.#life === 'refused' ? this.#life : 'down', reason);
    return { kind: isLoss ? 'lost' : 'unreached' };
  }

  /** A request could not connect: no more requests go there until it has joined again. */
  unreachable(reason: string, refused: boolean): HealthChange | null {
    this.#processGone ||= refused;
    if (!this.isInUse) return null;
    this.#mustProve = true;
    this.#become('suspect', reason);
    return { kind: 'suspected' };
  }

  /** A request failed at this engine. @param canBeSpared enough other engines take requests */
  failed(nowMs: number, reason: string, canBeSpared: boolean): HealthChange | null {
    if (!this.isInUse) return null;
    if (!canBeSpared || !this.#streak.failed(this.#onTrial)) return { kind: 'failed' };
    this.#rest(nowMs, this.#streak.restMs);
    this.#mustProve = true;
    this.#become('down', reason);
    return { kind: 'out', restMs: this.#streak.restMs };
  }

  /** A request got the beginning of an answer. */
  begun(): void {
    this.#onTrial = false;
  }

  /** A request got a whole answer. */
  worked(): void {
    this.#streak.worked();
    this.#onTrial = false;
  }

  /** It refused a request because it is full. */
  full(nowMs: number): void {
    this.#fullUntilMs = nowMs + fullMs;
  }

  /** @returns null if it is refused for this reason already */
  unfit(reason: string): HealthChange | null {
    const isKnown = this.#life === 'refused' && this.#cause === reason;
    this.#become('refused', reason);
    return isKnown ? null : { kind: 'unfit' };
  }

  /**
   * An internal error of the gateway while it handled this engine.
   * @param intervalMs the first rest
   * @returns null if it already rests after one
   */
  fault(nowMs: number, reason: string, intervalMs: number): HealthChange | null {
    if (this.#life === 'refused' && nowMs < this.#restUntilMs) return null;
    const restMs = Math.min(faultRestMsMax, intervalMs * 2 ** this.#faults);
    this.#faults += 1;
    this.#rest(nowMs, restMs);
    this.#mustProve = true;
    this.#become('refused', reason);
    return { kind: 'fault', restMs };
  }

  /** It serves none of its earlier models. */
  otherModels(reason: string): HealthChange | null {
    if (!this.isInUse) return null;
    this.#become('joining', reason);
    return { kind: 'other-models' };
  }

  /** It sent something, or its first request is only now under way. */
  heard(): void {
    this.#pulse.heard();
  }

  /** @param ms between two tokens of one stream */
  gap(ms: number): void {
    this.#pulse.gap(ms);
  }

  /** @param question value of `question` when it was asked */
  answered(question: number, answer: HealthAnswer): void {
    this.#processGone ||= answer === 'refused';
    this.#pulse.answered(question, answer);
  }

  /** @param elapsedMs since the last call, during which anything sent would have been noticed */
  advance(elapsedMs: number, expected: Expected): SilenceStep {
    const { state, ask, overdue } = this.#pulse.advance(elapsedMs, expected);
    if (state === 'dead') return { change: this.#died(), ask, overdue };
    const isStalled = state === 'stalled';
    if (isStalled === this.#toldStalled) return { change: null, ask, overdue };
    this.#toldStalled = isStalled;
    return { change: { kind: isStalled ? 'stalled' : 'heard' }, ask, overdue };
  }

  #died(): HealthChange {
    const silentMs = this.#pulse.silenceMs;
    const wasInUse = this.isInUse || this.#life === 'suspect';
    if (wasInUse) this.#become('down', { silentMs });
    // Its streams are cut; the silence of later requests is measured from zero.
    this.#pulse.heard();
    this.#toldStalled = false;
    return { kind: wasInUse ? 'dead' : 'cut', silentMs };
  }

  #rest(nowMs: number, restMs: number): void {
    this.#restUntilMs = Math.max(this.#restUntilMs, nowMs + restMs);
  }

  #become(life: Exclude<EngineState, 'stalled'>, cause: HealthCause | null): void {
    this.#life = life;
    this.#cause = cause;
  }
}
