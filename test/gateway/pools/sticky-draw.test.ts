import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawOf, weightedDraw } from '../../../src/gateway/pools/sticky-draw.ts';

const keys = Array.from({ length: 20_000 }, (_, i) => `session:${i}`);
const targets = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 6 })
  .chain((names) =>
    fc
      .array(fc.integer({ min: 0, max: 100 }), { minLength: names.length, maxLength: names.length })
      .filter((weights) => weights.some((weight) => weight > 0))
      .map((weights) => names.map((name, i) => [name, weights[i]!] as [string, number])),
  );

/** Names of the targets that the keys get. */
function drawn(weights: readonly (readonly [string, number])[], count = 300): (string | undefined)[] {
  return keys.slice(0, count).map((key) => weights[weightedDraw(key, weights)]?.[0]);
}

describe('a draw', () => {
  it('is the same for the same key, and spread evenly over keys', () => {
    const deciles = new Array<number>(10).fill(0);
    for (const key of keys) {
      const value = drawOf(key, 'purpose');
      expect(value).toBe(drawOf(key, 'purpose'));
      deciles[Math.floor(value * 10)]! += 1;
    }
    // Chi-square with 9 degrees of freedom: beyond 33.7 once in 10,000 times, and the keys are fixed.
    const expected = keys.length / 10;
    const chiSquare = deciles.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(33.7);
  });

  it('of one purpose says nothing of another', () => {
    let both = 0;
    for (const key of keys) if (drawOf(key, 'a') < 0.5 && drawOf(key, 'b') < 0.5) both += 1;
    expect(both / keys.length).toBeGreaterThan(0.23);
    expect(both / keys.length).toBeLessThan(0.27);
  });

  it('reads a bounded part of the key', () => {
    const long = 'x'.repeat(256);
    expect(drawOf(`${long}a`, 'p')).toBe(drawOf(`${long}b`, 'p'));
  });
});

describe('a weighted draw', () => {
  it('gives each target its share', () => {
    const weights = [
      ['stable', 90],
      ['canary', 9],
      ['next', 1],
    ] as const;
    const counts = new Map<string | undefined, number>();
    for (const name of drawn(weights, keys.length)) counts.set(name, (counts.get(name) ?? 0) + 1);
    const shares = weights.map(([name]) => (counts.get(name) ?? 0) / keys.length);
    expect(shares[0]).toBeCloseTo(0.9, 1);
    expect(Math.abs(shares[1]! - 0.09)).toBeLessThan(0.01);
    expect(Math.abs(shares[2]! - 0.01)).toBeLessThan(0.004);
  });

  it('never gives a key to a target of weight 0, and always to some target', () => {
    fc.assert(
      fc.property(targets, (weights) => {
        const positive = new Set(weights.filter(([, weight]) => weight > 0).map(([name]) => name));
        for (const name of drawn(weights, 50)) expect(positive.has(name!)).toBe(true);
      }),
    );
  });

  it('moves keys only to a target whose weight grows, and only from one that leaves', () => {
    fc.assert(
      fc.property(targets, fc.nat(), fc.integer({ min: 1, max: 100 }), (weights, at, more) => {
        const changed = at % weights.length;
        const grown = weights.map(([name, weight], i) => [name, i === changed ? weight + more : weight] as const);
        const [before, after] = [drawn(weights), drawn(grown)];
        for (const [i, name] of after.entries()) if (name !== before[i]) expect(name).toBe(weights[changed]![0]);
        const rest = grown.filter((_, i) => i !== changed);
        if (rest.every(([, weight]) => weight === 0)) return;
        const without = drawn(rest);
        for (const [i, name] of without.entries()) if (name !== after[i]) expect(after[i]).toBe(grown[changed]![0]);
      }),
    );
  });

  it('does not depend on the order of the targets', () => {
    fc.assert(
      fc.property(targets, (weights) => {
        expect(drawn([...weights].reverse(), 50)).toEqual(drawn(weights, 50));
      }),
    );
  });
});
