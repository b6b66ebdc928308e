import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EngineHealth,
  type EngineState,
  faultRestMsMax,
  missedProbesMax,
} from '../../../src/gateway/engines/engine-health.ts';
import { type Expected, type HealthAnswer, unansweredMsMax } from '../../../src/gateway/engines/engine-pulse.ts';

const decoding: Expected = { decoding: 1, prefilling: 0, whole: 0, prefillMs: 0 };
const nothing: Expected = { decoding: 0, prefilling: 0, whole: 0, prefillMs: 0 };
const intervalMs = 1000;

/**
 * The expectation of a reader of the table, computed from the whole history of events each time.
 */
class NaiveHealth {
  life: Exclude<EngineState, 'stalled'> = 'joining';
  silentMs = 0;
  /** Age of the oldest unanswered question. */
  openMs: number | null = null;
  isIll = false;
  restUntilMs = 0;
  readonly history: string[] = [];

  get state(): EngineState {
    return this.life === 'ready' && this.silentMs > 1000 ? 'stalled' : this.life;
  }

  /** It failed between its last two joins, and no answer has begun since. */
  get onTrial(): boolean {
    const join = this.history.lastIndexOf('joined');
    if (join === -1 || this.history.slice(join).some((event) => event === 'begun' || event === 'worked')) return false;
    const before = this.history.lastIndexOf('joined', join - 1);
    return this.history.slice(before + 1, join).some((event) => ['lost', 'suspected', 'out', 'fault'].includes(event));
  }

  #since(marks: readonly string[], event: string): number {
    const since = this.history.findLastIndex((entry) => marks.includes(entry));
    return this.history.slice(since + 1).filter((entry) => entry === event).length;
  }

  get missed(): number {
    return this.#since(['joined', 'alive'], 'missed');
  }

  /** Whether one more failure puts it out. */
  get failsNext(): boolean {
    return this.onTrial || this.#since(['worked'], 'out') > 0 || this.#since(['worked', 'out'], 'failed') >= 4;
  }

  get failureRestMs(): number {
    return Math.min(30_000, 500 * 2 ** this.#since(['worked'], 'out'));
  }

  get faultRestMs(): number {
    return Math.min(faultRestMsMax, (intervalMs / 2) * 2 ** this.#since(['alive'], 'fault'));
  }

  heard(): void {
    this.silentMs = 0;
    this.openMs = null;
    this.isIll = false;
  }
}

type Step =
  | { readonly kind: 'turn'; readonly ms: number; readonly owes: boolean }
  | { readonly kind: 'join'; readonly end: 'joined' | 'unreached' | 'unfit' }
  | { readonly kind: 'check'; readonly answer: HealthAnswer }
  | { readonly kind: 'answer'; readonly answer: HealthAnswer }
  | { readonly kind: 'failed'; readonly spare: boolean }
  | { readonly kind: PlainKind };
type PlainKind = 'request' | 'unreachable' | 'begun' | 'worked' | 'heard' | 'fault' | 'other-models' | 'rest';

const answers = fc.constantFrom<HealthAnswer>('alive', 'alive', 'none', 'none', 'refused', 'ill');
const joinEnds = ['joined', 'joined', 'joined', 'joined', 'unreached', 'unfit'] as const;
const plain = (weight: number, ...kinds: readonly PlainKind[]) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constantFrom(...kinds) }),
});
/** Joins and rests are frequent, so that engines return soon and more can happen to them. */
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('turn' as const),
      ms: fc.constantFrom(100, 250, 500),
      owes: fc.nat(19).map((n) => n > 0),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('join' as const), end: fc.constantFrom(...joinEnds) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('check' as const), answer: answers }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('answer' as const), answer: answers }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('failed' as const), spare: fc.boolean() }) },
  plain(5, 'rest'),
  plain(5, 'request'),
  plain(2, 'begun', 'worked', 'heard'),
  plain(1, 'fault', 'unreachable', 'other-models'),
);

/** An engine's health and its model, fed with the same events. */
class Pair {
  readonly health = new EngineHealth();
  readonly naive = new NaiveHealth();
  nowMs = 0;
  inFlight = 0;
  #question: number | null = null;
  #toldStalled = false;

  take(step: Step): void {
    const { health, naive } = this;
    switch (step.kind) {
      case 'turn':
        this.#turn(step.ms, step.owes);
        break;
      case 'rest':
        this.nowMs += health.waitMs(this.nowMs, intervalMs);
        break;
      case 'join':
        if (health.task(this.nowMs) === 'join') this.#join(step.end);
        break;
      case 'check':
        if (health.task(this.nowMs) === 'check') this.#check(step.answer);
        break;
      case 'answer':
        if (this.#question === null) break;
        health.answered(this.#question, step.answer);
        this.#question = null;
        if (naive.isIll) break;
        if (step.answer === 'alive') naive.openMs = null;
        naive.isIll = step.answer === 'ill' || step.answer === 'refused';
        break;
      case 'failed':
        this.#failed(step.spare);
        break;
      case 'request':
        // As the router sends requests while there are other engines.
        if (health.isInUse && !health.isSecondChoice(this.nowMs, this.inFlight)) {
          if (health.onTrial) expect(this.inFlight).toBe(0);
          this.inFlight += 1;
        }
        break;
      case 'begun':
        health.begun();
        naive.history.push('begun');
        break;
      case 'worked':
        health.worked();
        naive.history.push('worked');
        this.inFlight = Math.max(0, this.inFlight - 1);
        break;
      case 'heard':
        health.heard();
        this.#heard();
        break;
      case 'unreachable':
        if (naive.life === 'ready') this.#goes('suspect', 'suspected');
        health.unreachable('no connection', false);
        break;
      case 'fault':
        this.#fault();
        break;
      case 'other-models':
        health.otherModels('others');
        if (naive.life === 'ready') naive.life = 'joining';
        break;
    }
    this.#compare();
  }

  #compare(): void {
    const { health, naive, nowMs, inFlight } = this;
    expect([health.state, health.onTrial]).toEqual([naive.state, naive.onTrial]);
    // An engine out of use gets no requests, and is probed as soon as it has rested.
    expect(health.isInUse).toBe(['ready', 'stalled'].includes(health.state));
    if (health.isInUse) expect(health.task(nowMs)).toBe(naive.state === 'stalled' ? 'nothing' : 'check');
    else expect(health.task(nowMs)).toBe(nowMs < naive.restUntilMs ? 'nothing' : 'join');
    if (health.state === 'stalled') expect(health.isSecondChoice(nowMs, inFlight)).toBe(true);
    expect(naive.restUntilMs - nowMs).toBeLessThanOrEqual(faultRestMsMax);
  }

  #heard(): void {
    this.naive.heard();
    this.#question = null;
  }

  #goes(life: NaiveHealth['life'], event: string): void {
    this.naive.life = life;
    this.naive.history.push(event);
  }

  #turn(ms: number, owes: boolean): void {
    const { health, naive } = this;
    this.nowMs += ms;
    if (owes) {
      naive.silentMs += ms;
      if (naive.openMs !== null) naive.openMs += ms;
    } else this.#heard();
    const { change, ask } = health.advance(ms, owes ? decoding : nothing);
    const isDead = naive.isIll || (naive.openMs !== null && naive.openMs >= unansweredMsMax);
    expect(change?.kind === 'dead' || change?.kind === 'cut').toBe(isDead);
    if (isDead) {
      const wasInUse = naive.life === 'ready' || naive.life === 'suspect';
      expect(change?.kind).toBe(wasInUse ? 'dead' : 'cut');
      if (wasInUse) naive.life = 'down';
      this.inFlight = 0;
      this.#heard();
      this.#toldStalled = false;
    } else {
      const isStalled = naive.silentMs > 1000;
      expect(change?.kind).toBe(isStalled === this.#toldStalled ? undefined : isStalled ? 'stalled' : 'heard');
      this.#toldStalled = isStalled;
    }
    if (!ask) return;
    expect(this.#question).toBe(null);
    this.#question = health.question;
    naive.openMs ??= 0;
  }

  #join(end: 'joined' | 'unreached' | 'unfit'): void {
    const { health, naive } = this;
    switch (end) {
      case 'joined':
        health.joined();
        this.#goes('ready', 'joined');
        return;
      case 'unreached': {
        const { kind } = health.unreached('no answer', false);
        this.#expectLost(kind);
        return;
      }
      case 'unfit':
        health.unfit('no models');
        naive.life = 'refused';
    }
  }

  #expectLost(kind: string): void {
    const { naive } = this;
    const isLoss = naive.life === 'ready' || naive.life === 'suspect';
    expect(kind).toBe(isLoss ? 'lost' : 'unreached');
    if (isLoss) this.#goes('down', 'lost');
  }

  #check(answer: HealthAnswer): void {
    const { naive } = this;
    const change = this.health.probed(answer, 'no answer');
    naive.history.push(answer === 'alive' ? 'alive' : 'missed');
    const isLost = answer === 'ill' || answer === 'refused' || naive.missed >= missedProbesMax;
    expect(change !== null).toBe(isLost);
    if (change !== null) this.#expectLost(change.kind);
  }

  #failed(spare: boolean): void {
    const { health, naive, nowMs } = this;
    this.inFlight = Math.max(0, this.inFlight - 1);
    const goesOut = naive.life === 'ready' && spare && naive.failsNext;
    const change = health.failed(nowMs, 'reset', spare);
    if (naive.life !== 'ready') expect(change).toBe(null);
    else if (!goesOut) {
      expect(change).toEqual({ kind: 'failed' });
      if (spare) naive.history.push('failed');
    } else {
      this.#goes('down', 'out');
      expect(change).toEqual({ kind: 'out', restMs: naive.failureRestMs });
      naive.restUntilMs = Math.max(naive.restUntilMs, nowMs + naive.failureRestMs);
    }
  }

  #fault(): void {
    const { health, naive, nowMs } = this;
    const rests = naive.life === 'refused' && nowMs < naive.restUntilMs;
    const change = health.fault(nowMs, 'boom', intervalMs);
    if (rests) {
      expect(change).toBe(null);
      return;
    }
    this.#goes('refused', 'fault');
    expect(change).toEqual({ kind: 'fault', restMs: naive.faultRestMs });
    naive.restUntilMs = Math.max(naive.restUntilMs, nowMs + naive.faultRestMs);
  }
}

describe('the health of an engine, compared with a naive model', () => {
  it('agrees after every event, and a sound engine always returns in time', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 150, maxLength: 300, size: 'max' }), (events) => {
        const pair = new Pair();
        for (const event of events) pair.take(event);
        const { health } = pair;
        const sinceMs = pair.nowMs;
        // From now on the engine answers everything.
        pair.take({ kind: 'turn', ms: 100, owes: false });
        for (let look = 0; look < 2; look++) {
          if (!health.isInUse) pair.take({ kind: 'rest' });
          pair.take({ kind: 'join', end: 'joined' });
        }
        expect(health.state).toBe('ready');
        expect(pair.nowMs - sinceMs).toBeLessThanOrEqual(faultRestMsMax + intervalMs);
        pair.inFlight = 0;
        expect(health.isSecondChoice(pair.nowMs, 0)).toBe(false);
        pair.take({ kind: 'worked' });
        expect(health.isSecondChoice(pair.nowMs, 1)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});
