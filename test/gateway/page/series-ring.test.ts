import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coarsePoints, finePerCoarse, finePoints, SeriesRing } from '../../../src/gateway/page/series-ring.ts';
import { TtftMedian } from '../../../src/gateway/page/ttft-median.ts';

const value = fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.constant(Number.NaN));

describe('a ring of series', () => {
  it('has the same points as lists that keep everything', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { maxLength: 2 * finePoints }), (added) => {
        const ring = new SeriesRing({ level: 'mean', events: 'sum' });
        const coarse: { level: number | null; events: number | null }[] = [];
        for (const [index, point] of added.entries()) {
          ring.add(point);
          if ((index + 1) % finePerCoarse !== 0) continue;
          ring.rollUp([]);
          const ten = added.slice(index + 1 - finePerCoarse, index + 1);
          const numbers = (at: 0 | 1): number[] => ten.map((one) => one[at]).filter((one) => !Number.isNaN(one));
          const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);
          const [levels, events] = [numbers(0), numbers(1)];
          coarse.push({
            level: levels.length === 0 ? null : sum(levels) / levels.length,
            events: events.length === 0 ? null : sum(events),
          });
        }
        const kept = added.slice(-finePoints).map(([level]) => (Number.isNaN(level) ? null : level));
        expect(ring.points('level', 'fine')).toEqual(kept);
        expect(ring.points('level', 'fine', 7)).toEqual(kept.slice(-7));
        expect(ring.points('events', 'coarse')).toEqual(coarse.map(({ events }) => events));
        for (const [at, level] of ring.points('level', 'coarse').entries()) {
          if (level === null) expect(coarse[at]!.level).toBeNull();
          else expect(level).toBeCloseTo(coarse[at]!.level!, 2);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the last hour in the memory that it began with', () => {
    const ring = new SeriesRing({ level: 'mean' });
    const { bytes } = ring;
    for (let i = 0; i < (coarsePoints + 5) * finePerCoarse; i++) {
      ring.add([i]);
      if ((i + 1) % finePerCoarse === 0) ring.rollUp([]);
    }
    expect(ring.points('level', 'fine')).toHaveLength(finePoints);
    expect(ring.points('level', 'coarse')).toHaveLength(coarsePoints);
    expect(ring.bytes).toBe(bytes);
  });
});

describe('the median of first tokens', () => {
  it('is within its error of the true one, and empty after it is taken', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1, max: 100_000, noNaN: true }), { minLength: 1 }), (times) => {
        const median = new TtftMedian();
        for (const ms of times) median.record(ms);
        const actual = [...times].sort((a, b) => a - b)[Math.ceil(times.length / 2) - 1]!;
        expect(Math.abs(median.take() / actual - 1)).toBeLessThanOrEqual(TtftMedian.relativeErrorMax);
        expect(median.take()).toBeNaN();
      }),
    );
  });
});
