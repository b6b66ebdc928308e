import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EnginePulse,
  type Expected,
  type HealthAnswer,
  type PulseState,
  unansweredMsMax,
} from '../../../src/gateway/engines/engine-pulse.ts';

const nothing: Expected = { decoding: 0, prefilling: 0, whole: 0, prefillMs: 0 };
const turnMs = 100;

/** Advances time in turns; /health answers at once or never. Records the changes of state. */
function states(
  pulse: EnginePulse,
  expected: Expected,
  forMs: number,
  answer: HealthAnswer | null = 'alive',
): [PulseState | 'overdue', number][] {
  const changes: [PulseState | 'overdue', number][] = [];
  for (let ms = turnMs; ms <= forMs; ms += turnMs) {
    const { state, ask, overdue } = pulse.advance(turnMs, expected);
    if (ask && answer !== null) pulse.answered(pulse.question, answer);
    const now = overdue ? 'overdue' : state;
    if (changes.at(-1)?.[0] !== now) changes.push([now, ms]);
  }
  return changes;
}

describe('the pulse of an engine', () => {
  it('is well while no request is under way, however long', () => {
    expect(states(new EnginePulse(), nothing, 60_000, null)).toEqual([['well', 100]]);
  });

  it('never ends while /health answers, however long its streams pause', () => {
    const pulse = new EnginePulse();
    for (let i = 0; i < 200; i++) pulse.gap(20);
    expect(states(pulse, { ...nothing, decoding: 3 }, 600_000)).toEqual([
      ['well', 100],
      ['stalled', 1100],
      ['overdue', 2100],
    ]);
  });

  it('ends 2 s after the first unanswered question: 3 s while decoding, 4 s otherwise', () => {
    expect(states(new EnginePulse(), { ...nothing, decoding: 3 }, 5000, null)).toEqual([
      ['well', 100],
      ['stalled', 1100],
      ['overdue', 2100],
      ['dead', 3100],
    ]);
    expect(states(new EnginePulse(), { ...nothing, prefilling: 1, prefillMs: 10_000 }, 5000, null)).toEqual([
      ['well', 100],
      ['dead', 4100],
    ]);
    expect(states(new EnginePulse(), { ...nothing, whole: 1 }, 5000, null)).toEqual([
      ['well', 100],
      ['dead', 4100],
    ]);
  });

  it('ends 2 s after /health stopped answering, plus at most one interval', () => {
    const pulse = new EnginePulse();
    states(pulse, { ...nothing, decoding: 1 }, 30_000);
    const last = states(pulse, { ...nothing, decoding: 1 }, 5000, null);
    expect(last.at(-1)![0]).toBe('dead');
    expect(last.at(-1)![1]).toBeLessThanOrEqual(unansweredMsMax + 1000 + 2 * turnMs);
  });

  it('ends at once if nothing listens, or if /health reports 5xx', () => {
    expect(states(new EnginePulse(), { ...nothing, decoding: 1 }, 2000, 'ill').at(-1)).toEqual(['dead', 1200]);
  });

  it('asks again after a broken question, and keeps counting', () => {
    expect(states(new EnginePulse(), { ...nothing, decoding: 1 }, 9000, 'none').at(-1)).toEqual(['dead', 3100]);
  });

  it('accepts large gaps as normal: ten times the 99th percentile', () => {
    const pulse = new EnginePulse();
    for (let i = 0; i < 100; i++) pulse.gap(i < 97 ? 20 : 400);
    expect(pulse.gapP99Ms()).toBe(400);
    expect(states(pulse, { ...nothing, decoding: 1 }, 9000)).toEqual([
      ['well', 100],
      ['stalled', 4100],
      ['overdue', 8100],
    ]);
  });

  it('keeps only the latest gaps', () => {
    const pulse = new EnginePulse();
    for (let i = 0; i < 1000; i++) pulse.gap(5000);
    for (let i = 0; i < 512; i++) pulse.gap(10);
    expect(pulse.gapP99Ms()).toBe(10);
  });

  it('gives prefills 2 s plus three times their expected time', () => {
    expect(states(new EnginePulse(), { ...nothing, prefilling: 1, prefillMs: 1000 }, 11_000)).toEqual([
      ['well', 100],
      ['stalled', 5100],
      ['overdue', 10_100],
    ]);
    for (const tokensPerS of [1000, 2000, 8000]) {
      const prefillMs = (100_000 / tokensPerS) * 1000;
      const seen = states(new EnginePulse(), { ...nothing, prefilling: 1, prefillMs }, 2 * prefillMs);
      expect(seen).toEqual([['well', 100]]);
    }
  });

  it('is not overdue while streams wait behind a prefill that is computed in one step', () => {
    const pulse = new EnginePulse();
    for (let i = 0; i < 512; i++) pulse.gap(20);
    const seen = states(pulse, { ...nothing, decoding: 5, prefilling: 1, prefillMs: 12_500 }, 30_000);
    expect(seen).toEqual([
      ['well', 100],
      ['stalled', 1100],
    ]);
  });

  it('has no normal silence for answers in one piece', () => {
    expect(states(new EnginePulse(), { ...nothing, whole: 4, prefillMs: 50 }, 600_000)).toEqual([['well', 100]]);
  });

  it('starts again when the engine sends, and ignores late answers', () => {
    const pulse = new EnginePulse();
    const expected = { ...nothing, decoding: 1 };
    for (let i = 0; i < 50; i++) {
      expect(states(pulse, expected, 1500, null).at(-1)![0]).toBe('stalled');
      const asked = pulse.question;
      pulse.heard();
      pulse.answered(asked, 'ill');
      expect(pulse.advance(turnMs, expected).state).toBe('well');
    }
    expect(pulse.advance(5000, nothing).state).toBe('well');
    expect(pulse.silenceMs).toBe(0);
  });
});

/** The expectation of a reader of the drawing, from the events alone. */
class NaivePulse {
  state: PulseState = 'well';
  silenceMs = 0;
  /** How long the oldest question without an answer has waited. */
  openMs: number | null = null;

  heard(): void {
    this.state = 'well';
    this.silenceMs = 0;
    this.openMs = null;
  }
}

describe('the pulse, compared with its drawing', () => {
  const event = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('turn' as const), ms: fc.integer({ min: 1, max: 400 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('heard' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('idle' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('answer' as const),
        answer: fc.constantFrom<HealthAnswer>('alive', 'alive', 'alive', 'none', 'ill'),
        late: fc.boolean(),
      }),
    },
  );
  const owed = fc.record({
    decoding: fc.nat(2),
    prefilling: fc.nat(2),
    whole: fc.integer({ min: 1, max: 2 }),
    prefillMs: fc.nat(3000),
  });

  it('dies only by /health, never by silence alone; recovers only when the engine sends; asks before it decides', () => {
    fc.assert(
      fc.property(owed, fc.array(event, { maxLength: 200 }), (expected, events) => {
        const pulse = new EnginePulse();
        const naive = new NaivePulse();
        let open: number | null = null;
        let staleQuestion = -1;
        for (const step of events) {
          switch (step.kind) {
            case 'heard':
              if (open !== null) staleQuestion = open;
              pulse.heard();
              naive.heard();
              open = null;
              break;
            case 'idle':
              if (open !== null) staleQuestion = open;
              expect(pulse.advance(100, nothing)).toEqual({ state: 'well', ask: false, overdue: false });
              naive.heard();
              open = null;
              break;
            case 'answer':
              if (step.late) pulse.answered(staleQuestion, step.answer);
              else if (open !== null) {
                pulse.answered(open, step.answer);
                open = null;
                if (naive.state === 'dead') break;
                if (step.answer === 'ill') naive.state = 'dead';
                if (step.answer === 'alive') naive.openMs = null;
              }
              break;
            case 'turn': {
              naive.silenceMs += step.ms;
              if (naive.openMs !== null) naive.openMs += step.ms;
              if (naive.openMs !== null && naive.openMs >= unansweredMsMax) naive.state = 'dead';
              const { state, ask, overdue } = pulse.advance(step.ms, expected);
              expect(state === 'dead').toBe(naive.state === 'dead');
              if (ask) {
                // One question at a time, and only during silence.
                expect(open).toBe(null);
                expect(naive.silenceMs).toBeGreaterThan(1000);
                open = pulse.question;
                naive.openMs ??= 0;
              }
              if (state === 'stalled') naive.state = state;
              // Only bytes from the engine lead back from stalled.
              if (naive.state === 'stalled') expect(state).toBe('stalled');
              if (overdue) expect([state, naive.silenceMs > 2000]).toEqual(['stalled', true]);
            }
          }
        }
        expect(pulse.silenceMs).toBe(naive.silenceMs);
      }),
      { numRuns: 500 },
    );
  });
});
