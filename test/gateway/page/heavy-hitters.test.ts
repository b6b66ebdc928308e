import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeavyHitters } from '../../../src/gateway/page/heavy-hitters.ts';
import { NaiveCounts } from '../../model/naive-counts.ts';

const occurrence = fc.record({ low: fc.nat(12), high: fc.nat(2), weight: fc.integer({ min: 1, max: 3 }) });

describe('the most frequent keys', () => {
  it('have counts within their errors, and none that is frequent enough is missing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(occurrence, { maxLength: 200 }), (slots, stream) => {
        const hitters = new HeavyHitters(slots);
        const naive = new NaiveCounts();
        for (const { low, high, weight } of stream) {
          const slot = hitters.add(low, high, weight);
          naive.add(low, high, weight);
          expect([hitters.low[slot], hitters.high[slot]]).toEqual([low, high]);
        }
        expect(hitters.used).toBeLessThanOrEqual(slots);
        let sum = 0;
        for (let slot = 0; slot < hitters.used; slot++) {
          const count = hitters.count[slot]!;
          const actual = naive.of(hitters.low[slot]!, hitters.high[slot]!);
          expect(actual).toBeLessThanOrEqual(count);
          expect(actual).toBeGreaterThanOrEqual(count - hitters.error[slot]!);
          sum += count;
        }
        expect(sum).toBe(naive.total);
        for (const [low, high] of naive.keys()) {
          if (naive.of(low, high) > naive.total / slots) expect(hitters.find(low, high)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  it('are given up for later ones once their counts have been halved', () => {
    const hitters = new HeavyHitters(2);
    for (let i = 0; i < 64; i++) hitters.add(1, 0);
    for (let i = 0; i < 64; i++) hitters.add(2, 0);
    for (let i = 0; i < 8; i++) hitters.halve();
    for (let i = 0; i < 8; i++) {
      hitters.add(3, 0);
      hitters.add(4, 0);
    }
    expect([1, 2].map((low) => hitters.find(low, 0))).toEqual([-1, -1]);
    expect(hitters.find(3, 0)).toBeGreaterThanOrEqual(0);
    expect(hitters.givenUp).toBe(2);
  });
});
