// The health of one engine: whether it takes requests, whether others come first, and when it is looked at. The only
// place that decides it: a state machine without clock, I/O or log. `EngineMonitor` drives it.
//
//     joining ──┐                       request could not connect
//     refused ──┤ joined  ┌─ ready ─────────────────────────────▶ suspect ── joined ──▶ ready
//     down ─────┴────────▶│  ▲  │                                    │
//      ▲                  │  │  │ silent      the pulse: too long;   │
//      │                  │  │  ▼             heard: back to ready   │
//      │                  └─ stalled                                 │
//      └─────── lost, dead, or out ──────────────────────────────────┘
//
//     event           counts in          leads to  what follows
//     joined          any but in use     ready     takes requests; on trial if it must prove itself
//     unreachable     in use             suspect   look now; must prove itself
//     failed          in use             down      "out", if it can be spared, after 5 failures in a row, 1 on trial or
//                                                  1 since it was out last: rests, must prove itself; looks now anyway
//     probe failed    in use, suspect    down      "lost": refused, 5xx or the third miss; must prove itself
//                     joining, refused   the same
//     dead            in use, suspect    down      streams are cut in any state; look now
//     unfit           any                refused
//     fault of ours   any                refused   rests, must prove itself; its workers are dismissed
//     other models    in use             joining   look now
//
// In use: ready or stalled. Only these take requests. `stalled` is `ready` while the pulse says so (engine-pulse.ts).
// On trial, one request at a time goes there while others can: the first token ends it. Failures in a row and the rest
// that follows are counted in failure-streak.ts.

import { EnginePulse, type Expected, type HealthAnswer } from './engine-pulse.ts';
import { FailureStreak } from './failure-streak.ts';

/** Probes in a row without an answer until an engine that is idle counts as down; one refused connection is enough. */
export const missedProbesMax = 3;
/** Between two looks at an engine that is in use. */
const inUseIntervalMs = 5000;
/** An engine that could not be taken in rests twice as long after each further time, up to this. */
export const faultRestMsMax = 300_000;
/** How long an engine that is full comes second. */
const fullMs = 1000;

/**
 * `joining`: not reached yet. `ready`: takes requests. `stalled`: has sent nothing for longer than normal, others come
 * first. `suspect`: a request could not connect, a probe is under way.
 * `down`: was reached once, not any more. `refused`: reached, but not fit for use.
 */
export type EngineState = 'joining' | 'ready' | 'stalled' | 'suspect' | 'down' | 'refused';

/** Why an engine is not ready: text from outside, or for how long it had been silent when it was given up. */
export type HealthCause = string | { readonly silentMs: number };

/** What an event has changed. */
export type HealthChange =
  | { readonly kind: 'joined' | 'suspected' | 'lost' | 'unreached' | 'unfit' | 'other-models' }
  /** A request failed there, and it stays in use. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'out' | 'fault'; readonly restMs: number }
  | { readonly kind: 'stalled' | 'heard' }
  /** Its streams are to be cut; `cut`: it was out of use before. */
  | { readonly kind: 'dead' | 'cut'; readonly silentMs: number };

/** What is to be done after some time has passed. */
export interface SilenceStep {
  readonly change: HealthChange | null;
  /** Ask for /health now; what comes of it is told to `answered`. */
  readonly ask: boolean;
  /** Stalled for so long that requests without a token may go elsewhere. */
  readonly overdue: boolean;
}

/** What its monitor does at a look: asks for its health, tries to join it, or nothing. */
export type HealthTask = 'check' | 'join' | 'nothing';

const looksNow: ReadonlySet<HealthChange['kind']> = new Set(['suspected', 'failed', 'out', 'dead', 'other-models']);

/** Whether the engine is to be looked at without waiting for the next time. */
export function asksForLook({ kind }: HealthChange): boolean {
  return looksNow.has(kind);
}

export class EngineHealth {
  readonly #pulse = new EnginePulse();
  readonly #streak = new FailureStreak();
  /** `stalled` is not among them: see `state`. */
  #life: Exclude<EngineState, 'stalled'> = 'joining';
  #cause: HealthCause | null = null;
  /** The change to or from `stalled` has been told. */
  #toldStalled = false;
  #missedProbes = 0;
  /** It failed: when it comes back, it is on trial. */
  #mustProve = false;
  #onTrial = false;
  #restUntilMs = 0;
  /** In a row: faults of ours, without an answered probe in between. */
  #faults = 0;
  #fullUntilMs = 0;
  #processGone = false;

  get state(): EngineState {
    return this.#life === 'ready' && this.#pulse.state !== 'well' ? 'stalled' : this.#life;
  }

  /** Null: it is ready. */
  get cause(): HealthCause | null {
    return this.state === 'stalled' ? { silentMs: this.#pulse.silenceMs } : this.#cause;
  }

  /** It takes requests. */
  get isInUse(): boolean {
    return this.#life === 'ready';
  }

  /** It is back after a failure, and has not begun to answer since. */
  get onTrial(): boolean {
    return this.#onTrial;
  }

  get silenceMs(): number {
    return this.#pulse.silenceMs;
  }

  /** Names the question for its health that is asked next, for `answered`. */
  get question(): number {
    return this.#pulse.question;
  }

  /** Others come first: it is stalled or full, or one request is just trying whether it works. */
  isSecondChoice(nowMs: number, inFlight: number): boolean {
    return this.state === 'stalled' || nowMs < this.#fullUntilMs || (this.#onTrial && inFlight > 0);
  }

  task(nowMs: number): HealthTask {
    // Questions to a stalled engine are asked by its pulse.
    if (this.#life === 'ready') return this.state === 'stalled' ? 'nothing' : 'check';
    return nowMs < this.#restUntilMs ? 'nothing' : 'join';
  }

  /** Until the next look. @param probeIntervalMs between two tries to join */
  waitMs(nowMs: number, probeIntervalMs: number): number {
    return this.isInUse ? inUseIntervalMs : Math.max(probeIntervalMs, this.#restUntilMs - nowMs);
  }

  /** Whether the process was seen to be gone since the last call, with all that its cache held. */
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

  /** @param answer of an idle engine */
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

  /** It could not be joined, or does not answer its probes any more. @param refused nothing listens there */
  unreached(reason: string, refused: boolean): HealthChange {
    this.#processGone ||= refused;
    const isLoss = this.isInUse || this.#life === 'suspect';
    this.#mustProve ||= isLoss;
    this.#become(this.#life === 'joining' || this.#life === 'refused' ? this.#life : 'down', reason);
    return { kind: isLoss ? 'lost' : 'unreached' };
  }

  /** A request could not connect: no further one goes there until a probe has. */
  unreachable(reason: string, refused: boolean): HealthChange | null {
    this.#processGone ||= refused;
    if (!this.isInUse) return null;
    this.#mustProve = true;
    this.#become('suspect', reason);
    return { kind: 'suspected' };
  }

  /** A request failed in its hands. @param canBeSpared enough other engines are left */
  failed(nowMs: number, reason: string, canBeSpared: boolean): HealthChange | null {
    if (!this.isInUse) return null;
    if (!canBeSpared || !this.#streak.failed(this.#onTrial)) return { kind: 'failed' };
    this.#rest(nowMs, this.#streak.restMs);
    this.#mustProve = true;
    this.#become('down', reason);
    return { kind: 'out', restMs: this.#streak.restMs };
  }

  /** It has begun to answer a request. */
  begun(): void {
    this.#onTrial = false;
  }

  /** It has given a whole answer. */
  worked(): void {
    this.#streak.worked();
    this.#onTrial = false;
  }

  /** It said that it takes no more requests. */
  full(nowMs: number): void {
    this.#fullUntilMs = nowMs + fullMs;
  }

  /** @returns null if that is known */
  unfit(reason: string): HealthChange | null {
    const isKnown = this.#life === 'refused' && this.#cause === reason;
    this.#become('refused', reason);
    return isKnown ? null : { kind: 'unfit' };
  }

  /**
   * An error that nobody expected, in the care of this engine.
   * @param intervalMs the first rest
   * @returns null if it rests from one already
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

  /** It serves none of the models that it served before. */
  otherModels(reason: string): HealthChange | null {
    if (!this.isInUse) return null;
    this.#become('joining', reason);
    return { kind: 'other-models' };
  }

  /** Something came of its requests, or it had owed nothing until now. */
  heard(): void {
    this.#pulse.heard();
  }

  /** Two tokens of one stream came so far apart. */
  gap(ms: number): void {
    this.#pulse.gap(ms);
  }

  /** @param question as `question` was when it was asked */
  answered(question: number, answer: HealthAnswer): void {
    this.#processGone ||= answer === 'refused';
    this.#pulse.answered(question, answer);
  }

  /** @param elapsedMs time in which nothing could have come unheard */
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
    // Its streams end here; whatever is sent there later starts anew.
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
