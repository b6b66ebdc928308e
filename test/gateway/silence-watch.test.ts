import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Expected, type SilenceVerdict, SilenceWatch } from '../../src/gateway/engines/silence-watch.ts';

const nothing: Expected = { decoding: 0, prefilling: 0, whole: 0, prefillMs: 0 };
const turnMs = 100;

/** Lets time pass in turns, and notes when the verdict changes. */
function verdicts(watch: SilenceWatch, expected: Expected, forMs: number): [SilenceVerdict, number][] {
  const changes: [SilenceVerdict, number][] = [];
  for (let ms = turnMs; ms <= forMs; ms += turnMs) {
    const verdict = watch.advance(turnMs, expected);
    if (changes.at(-1)?.[0] !== verdict) changes.push([verdict, ms]);
  }
  return changes;
}

describe('silence watch', () => {
  it('finds an engine well that owes nothing, for however long', () => {
    expect(verdicts(new SilenceWatch(), nothing, 60_000)).toEqual([['well', 100]]);
  });

  it('suspects an engine whose streams stand still for more than 1 s, and gives it up after twice that', () => {
    const watch = new SilenceWatch();
    for (let i = 0; i < 200; i++) watch.gap(20);
    expect(verdicts(watch, { ...nothing, decoding: 3 }, 3000)).toEqual([
      ['well', 100],
      ['suspect', 1100],
      ['hung', 2100],
    ]);
  });

  it('is more patient with a worker whose gaps are wide: ten times the 99th percentile', () => {
    const watch = new SilenceWatch();
    for (let i = 0; i < 100; i++) watch.gap(i < 97 ? 20 : 400);
    expect(watch.gapP99Ms()).toBe(400);
    expect(verdicts(watch, { ...nothing, decoding: 1 }, 9000)).toEqual([
      ['well', 100],
      ['quiet', 2100],
      ['suspect', 4100],
      ['hung', 8100],
    ]);
  });

  it('remembers the newest gaps only', () => {
    const watch = new SilenceWatch();
    for (let i = 0; i < 1000; i++) watch.gap(5000);
    for (let i = 0; i < 512; i++) watch.gap(10);
    expect(watch.gapP99Ms()).toBe(10);
  });

  it('gives prefills 2 s and three times what they should take', () => {
    expect(verdicts(new SilenceWatch(), { ...nothing, prefilling: 1, prefillMs: 1000 }, 11_000)).toEqual([
      ['well', 100],
      ['quiet', 2100],
      ['suspect', 5100],
      ['hung', 10_100],
    ]);
  });

  it('does not suspect a healthy engine in a prefill of 100,000 tokens, whichever speed was observed', () => {
    for (const tokensPerS of [1000, 2000, 8000]) {
      const prefillMs = (100_000 / tokensPerS) * 1000;
      const watch = new SilenceWatch();
      const seen = verdicts(watch, { ...nothing, prefilling: 1, prefillMs }, 2 * prefillMs);
      expect(seen.map(([verdict]) => verdict)).toEqual(['well', 'quiet']);
    }
  });

  it('does not end streams that stand behind such a prefill in an engine that computes it in one step', () => {
    const watch = new SilenceWatch();
    for (let i = 0; i < 512; i++) watch.gap(20);
    const seen = verdicts(watch, { ...nothing, decoding: 5, prefilling: 1, prefillMs: 12_500 }, 30_000);
    expect(seen.map(([verdict]) => verdict)).toEqual(['well', 'suspect']);
  });

  it('never suspects an engine for the silence of answers in one piece, but asks', () => {
    expect(verdicts(new SilenceWatch(), { ...nothing, whole: 4, prefillMs: 50 }, 600_000)).toEqual([
      ['well', 100],
      ['quiet', 2100],
    ]);
  });

  it('starts anew with everything that is heard', () => {
    const watch = new SilenceWatch();
    const expected = { ...nothing, decoding: 1 };
    for (let i = 0; i < 50; i++) {
      expect(verdicts(watch, expected, 1000)).toEqual([['well', 100]]);
      watch.heard();
    }
    expect(watch.advance(5000, nothing)).toBe('well');
    expect(watch.silenceMs).toBe(0);
  });

  it('only ever gets worse while nothing is heard and the engine owes the same', () => {
    const rank: Record<SilenceVerdict, number> = { well: 0, quiet: 1, suspect: 2, hung: 3 };
    fc.assert(
      fc.property(
        fc.record({
          decoding: fc.nat(3),
          prefilling: fc.nat(3),
          whole: fc.nat(3),
          prefillMs: fc.integer({ min: 0, max: 60_000 }),
        }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 100 }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 100 }),
        (expected, gaps, turns) => {
          const watch = new SilenceWatch();
          for (const gap of gaps) watch.gap(gap);
          const seen = turns.map((ms) => rank[watch.advance(ms, expected)]);
          expect(seen).toEqual(seen.toSorted((a, b) => a - b));
        },
      ),
    );
  });
});
