import { describe, expect, it } from 'vitest';
import {
  EngineHealth,
  type EngineState,
  faultRestMsMax,
  type HealthChange,
  missedProbesMax,
} from '../../../src/gateway/engines/engine-health.ts';
import type { Expected } from '../../../src/gateway/engines/engine-pulse.ts';

const decoding: Expected = { decoding: 1, prefilling: 0, whole: 0, prefillMs: 0 };
const intervalMs = 1000;

function joined(): EngineHealth {
  const health = new EngineHealth();
  health.joined();
  return health;
}

/** An engine in each state, reached the shortest way. */
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

/** The table in the header of engine-health.ts: by state, where an event leads and which change it reports. */
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

  it('is lost at the third unanswered probe in a row, at once if it is refused or ill', () => {
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

  it('remembers that its process was found gone until that is read', () => {
    const health = inState.stalled();
    health.answered(health.question, 'none');
    expect(health.takeProcessGone()).toBe(false);
    health.answered(health.question, 'refused');
    expect([health.takeProcessGone(), health.takeProcessGone()]).toEqual([true, false]);
    health.unreachable('no connection', true);
    expect(health.takeProcessGone()).toBe(true);
  });

  it("is not put out by failures while it can't be spared", () => {
    const health = joined();
    for (let i = 0; i < 50; i++) expect(health.failed(i, 'reset', false)).toEqual({ kind: 'failed' });
    expect(health.state).toBe('ready');
  });

  it('does not rest less because of an internal error during its rest', () => {
    const health = joined();
    let restMs = 0;
    while (restMs < 8000) {
      health.joined();
      const change = health.failed(0, 'reset', true);
      if (change?.kind === 'out') restMs = change.restMs;
    }
    health.fault(0, 'boom', intervalMs);
    expect([health.task(7999), health.task(8000)]).toEqual(['nothing', 'join']);
  });

  it('is a second choice for a second while it is full', () => {
    const health = joined();
    health.full(5000);
    expect([health.isSecondChoice(5999, 0), health.isSecondChoice(6000, 0)]).toEqual([true, false]);
  });

  it('reports how long it has been silent, until it sends again', () => {
    const health = inState.stalled();
    expect(health.cause).toEqual({ silentMs: 1500 });
    health.heard();
    expect([health.state, health.cause]).toEqual(['ready', null]);
    expect(health.advance(100, decoding).change).toEqual({ kind: 'heard' });
  });

  it('rests twice as long each time until it has worked, up to the limits', () => {
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
