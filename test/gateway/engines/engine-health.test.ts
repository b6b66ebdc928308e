import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EngineHealth,
  type EngineState,
  faultRestMsMax,
  type HealthChange,
  missedProbesMax,
} from '../../../src/gateway/engines/engine-health.ts';
import { type Expected, type HealthAnswer, unansweredMsMax } from '../../../src/gateway/engines/engine-pulse.ts';

const decoding: Expected = { decoding: 1, prefilling: 0, whole: 0, prefillMs: 0 };
const nothing: Expected = { decoding: 0, prefilling: 0, whole: 0, prefillMs: 0 };
const intervalMs = 1000;

function joined(): EngineHealth {
  const health = new EngineHealth();
  health.joined();
  return health;
}

/** In each of the states, by the shortest way. */
const inState: Readonly<Record<EngineState, () => EngineHealth>> = {
  joining: () => new EngineHealth(),
  ready: joined,
  stalled: () => {
    const health = joined();
    for (let ms = 0; ms < 1500; ms += 100) health.advance(100, decoding);
    return health;
  },
  suspect: () => {
    const health = joined();
    health.unreachable('x', false);
    return health;
  },
  down: () => {
    const health = joined();
    health.unreached('x', false);
    return health;
  },
  refused: () => {
    const health = new EngineHealth();
    health.unfit('no models');
    return health;
  },
};
const states = Object.keys(inState) as EngineState[];

/** The table in the header of engine-health.ts: where an event leads to from each state, and as what it is told. */
const table: readonly (readonly [
  string,
  (health: EngineHealth) => HealthChange | null,
  Readonly<Record<EngineState, readonly [EngineState, HealthChange['kind'] | null]>>,
])[] = [
  [
    'a request that could not connect',
    (health) => health.unreachable('gone', false),
    {
      joining: ['joining', null],
      ready: ['suspect', 'suspected'],
      stalled: ['suspect', 'suspected'],
      suspect: ['suspect', null],
      down: ['down', null],
      refused: ['refused', null],
    },
  ],
  [
    'a probe or a join that reaches nobody',
    (health) => health.unreached('gone', true),
    {
      joining: ['joining', 'unreached'],
      ready: ['down', 'lost'],
      stalled: ['down', 'lost'],
      suspect: ['down', 'lost'],
      down: ['down', 'unreached'],
      refused: ['refused', 'unreached'],
    },
  ],
  [
    'one failed request',
    (health) => health.failed(0, 'reset', true),
    {
      joining: ['joining', null],
      ready: ['ready', 'failed'],
      stalled: ['stalled', 'failed'],
      suspect: ['suspect', null],
      down: ['down', null],
      refused: ['refused', null],
    },
  ],
  [
    'a look that finds it unfit',
    (health) => health.unfit('too old'),
    {
      joining: ['refused', 'unfit'],
      ready: ['refused', 'unfit'],
      stalled: ['refused', 'unfit'],
      suspect: ['refused', 'unfit'],
      down: ['refused', 'unfit'],
      refused: ['refused', 'unfit'],
    },
  ],
  [
    'a fault of the gateway',
    (health) => health.fault(0, 'boom', intervalMs),
    {
      joining: ['refused', 'fault'],
      ready: ['refused', 'fault'],
      stalled: ['refused', 'fault'],
      suspect: ['refused', 'fault'],
      down: ['refused', 'fault'],
      refused: ['refused', 'fault'],
    },
  ],
  [
    'other models',
    (health) => health.otherModels('others'),
    {
      joining: ['joining', null],
      ready: ['joining', 'other-models'],
      stalled: ['joining', 'other-models'],
      suspect: ['suspect', null],
      down: ['down', null],
      refused: ['refused', null],
    },
  ],
  [
    'death in silence',
    (health) => {
      for (let ms = 0; ms < 5000; ms += 100) {
        const { change } = health.advance(100, decoding);
        if (change?.kind === 'dead' || change?.kind === 'cut') return change;
      }
      return null;
    },
    {
      joining: ['joining', 'cut'],
      ready: ['down', 'dead'],
      stalled: ['down', 'dead'],
      suspect: ['down', 'dead'],
      down: ['down', 'cut'],
      refused: ['refused', 'cut'],
    },
  ],
  [
    'a join that works',
    (health) => health.joined(),
    {
      joining: ['ready', 'joined'],
      ready: ['ready', 'joined'],
      stalled: ['stalled', 'joined'],
      suspect: ['ready', 'joined'],
      down: ['ready', 'joined'],
      refused: ['ready', 'joined'],
    },
  ],
];

describe('the health of an engine, by its table', () => {
  for (const [what, event, ends] of table) {
    it.each(states)(`${what}, while it is %s`, (state) => {
      const health = inState[state]();
      expect(health.state).toBe(state);
      const change = event(health);
      expect([health.state, change?.kind ?? null]).toEqual(ends[state]);
      expect(health.isInUse).toBe(health.state === 'ready' || health.state === 'stalled');
      if (health.state === 'ready') expect(health.cause).toBe(null);
      else if (health.state !== 'joining') expect(health.cause).not.toBe(null);
    });
  }

  it('is lost at the third probe in a row without an answer, at once if it is refused or ill', () => {
    const health = joined();
    for (let round = 0; round < 5; round++) {
      for (let miss = 1; miss < missedProbesMax; miss++) expect(health.probed('none', 'late')).toBe(null);
      health.probed('alive', '');
    }
    for (let miss = 1; miss < missedProbesMax; miss++) health.probed('none', 'late');
    expect(health.probed('none', 'late')?.kind).toBe('lost');
    expect(joined().probed('ill', '503')?.kind).toBe('lost');
    const refused = joined();
    expect(refused.probed('refused', 'no')?.kind).toBe('lost');
    expect([refused.takeProcessGone(), refused.takeProcessGone()]).toEqual([true, false]);
  });

  it('remembers that its process was seen to be gone, until it is asked for that', () => {
    const health = inState.stalled();
    health.answered(health.question, 'none');
    expect(health.takeProcessGone()).toBe(false);
    health.answered(health.question, 'refused');
    expect([health.takeProcessGone(), health.takeProcessGone()]).toEqual([true, false]);
    health.unreachable('no connection', true);
    expect(health.takeProcessGone()).toBe(true);
  });

  it('is not put out by failures while it can not be spared', () => {
    const health = joined();
    for (let i = 0; i < 50; i++) expect(health.failed(i, 'reset', false)).toEqual({ kind: 'failed' });
    expect(health.state).toBe('ready');
  });

  it('comes second while it is full, for a second', () => {
    const health = joined();
    health.full(5000);
    expect([health.isSecondChoice(5999, 0), health.isSecondChoice(6000, 0)]).toEqual([true, false]);
  });

  it('says for how long it has been silent, until it is heard', () => {
    const health = inState.stalled();
    expect(health.cause).toEqual({ silentMs: 1500 });
    health.heard();
    expect([health.state, health.cause]).toEqual(['ready', null]);
    expect(health.advance(100, decoding).change).toEqual({ kind: 'heard' });
  });
});

/**
 * What a reader of the table expects, written from the events alone: everything is computed anew from the whole history.
 */
class NaiveHealth {
  life: Exclude<EngineState, 'stalled'> = 'joining';
  silentMs = 0;
  /** How long the oldest question without an answer has waited. */
  openMs: number | null = null;
  isIll = false;
  restUntilMs = 0;
  readonly history: string[] = [];

  get state(): EngineState {
    return this.life === 'ready' && this.silentMs > 1000 ? 'stalled' : this.life;
  }

  /** It has failed since it joined the last time but before that, and nothing has come of it since. */
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
  | { readonly kind: 'join'; readonly end: 'joined' | 'unreached' | 'unfit' | 'fault' }
  | { readonly kind: 'check'; readonly answer: HealthAnswer }
  | { readonly kind: 'answer'; readonly answer: HealthAnswer }
  | { readonly kind: 'failed'; readonly spare: boolean }
  | { readonly kind: 'request' | 'unreachable' | 'begun' | 'worked' | 'heard' | 'fault' | 'other-models' | 'rest' };

const answers = fc.constantFrom<HealthAnswer>('alive', 'alive', 'none', 'none', 'refused', 'ill');
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('turn' as const), ms: fc.constantFrom(50, 100, 250), owes: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      end: fc.constantFrom(
        'joined' as const,
        'joined' as const,
        'unreached' as const,
        'unfit' as const,
        'fault' as const,
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('check' as const), answer: answers }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('answer' as const), answer: answers }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('failed' as const), spare: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'request' as const,
        'request' as const,
        'unreachable' as const,
        'begun' as const,
        'worked' as const,
        'heard' as const,
        'fault' as const,
        'other-models' as const,
        'rest' as const,
      ),
    }),
  },
);

/** An engine's health beside what is expected of it, fed with the same events. */
class Pair {
  readonly health = new EngineHealth();
  readonly naive = new NaiveHealth();
  nowMs = 0;
  inFlight = 0;
  #question: number | null = null;

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
        // As the router has it while there are other engines.
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
    // Nothing goes to an engine that is out of use, and it is looked at as soon as it has rested.
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
    }
    if (!ask) return;
    expect(this.#question).toBe(null);
    this.#question = health.question;
    naive.openMs ??= 0;
  }

  #join(end: 'joined' | 'unreached' | 'unfit' | 'fault'): void {
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
        return;
      case 'fault':
        this.#fault();
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

describe('the health of an engine, against a naive model', () => {
  it('agrees with it after every event, and whatever has happened, a sound engine is back in time', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 300 }), (events) => {
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
      { numRuns: 1000 },
    );
  });

  it('rests twice as long each time until it has worked, and no longer than the limits', () => {
    const outs: number[] = [];
    const health = joined();
    let nowMs = 0;
    for (let i = 0; i < 30; i++) {
      const change = health.failed(nowMs, 'reset', true);
      if (change?.kind !== 'out') continue;
      outs.push(change.restMs);
      expect(health.task(nowMs + change.restMs - 1)).toBe('nothing');
      nowMs += change.restMs;
      expect(health.task(nowMs)).toBe('join');
      health.joined();
      expect([health.onTrial, health.isSecondChoice(nowMs, 0), health.isSecondChoice(nowMs, 1)]).toEqual([
        true,
        false,
        true,
      ]);
    }
    expect(outs.slice(0, 7)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    const faults: number[] = [];
    for (let i = 0; i < 12; i++) {
      const change = health.fault(nowMs, 'boom', intervalMs);
      if (change?.kind === 'fault') faults.push(change.restMs);
      nowMs += faults.at(-1)!;
      health.joined();
    }
    expect(faults).toEqual(Array.from({ length: 12 }, (_, i) => Math.min(faultRestMsMax, intervalMs * 2 ** i)));
    health.probed('alive', '');
    expect(health.fault(nowMs, 'boom', intervalMs)).toEqual({ kind: 'fault', restMs: intervalMs });
  });
});
