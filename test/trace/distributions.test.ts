import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { gamma, geometric, lognormal, normal, shuffle, uniformInteger, Zipf } from '../../src/trace/distributions.ts';
import { spreadOf } from '../../src/trace/statistics.ts';

const draws = 40_000;

function sample(draw: (random: Random) => number): number[] {
  const random = new Random(11);
  return Array.from({ length: draws }, () => draw(random));
}

/** Tolerance of a sample mean relative to the mean: four standard deviations. */
const tolerance = (cv: number): number => (4 * cv) / Math.sqrt(draws);

function expectMean(samples: number[], mean: number, cv: number): void {
  expect(Math.abs(spreadOf(samples).mean / mean - 1)).toBeLessThan(tolerance(cv));
}

describe('draws', () => {
  it('normal: mean, deviation, and symmetry', () => {
    const samples = sample((random) => normal(random, 7000, 2000));
    expectMean(samples, 7000, 2 / 7);
    expect(spreadOf(samples).cv).toBeCloseTo(2 / 7, 2);
    expect(samples.filter((value) => value < 7000).length / draws).toBeCloseTo(0.5, 1);
    expect(samples.filter((value) => Math.abs(value - 7000) < 2000).length / draws).toBeCloseTo(0.6827, 2);
  });

  it('lognormal: median and mean', () => {
    const samples = sample((random) => lognormal(random, Math.log(150) - 0.5, 1));
    expectMean(samples, 150, Math.sqrt(Math.E - 1));
    expect(spreadOf(samples).p50 / (150 * Math.exp(-0.5))).toBeCloseTo(1, 1);
  });

  it.each([0.25, 1, 4])('gamma of shape %d: mean and coefficient of variation', (shape) => {
    const samples = sample((random) => gamma(random, shape, 3 / shape));
    const cv = 1 / Math.sqrt(shape);
    expectMean(samples, 3, cv);
    expect(spreadOf(samples).cv / cv).toBeCloseTo(1, 1);
    expect(Math.min(...samples.slice(0, 1000))).toBeGreaterThanOrEqual(0);
  });

  it('geometric: counts trials from 1', () => {
    const samples = sample((random) => geometric(random, 1 / 6));
    expectMean(samples, 6, Math.sqrt(5 / 6));
    expect(samples.filter((value) => value === 1).length / draws).toBeCloseTo(1 / 6, 2);
    expect(spreadOf(sample((random) => geometric(random, 1))).max).toBe(1);
  });

  it('uniform integers: both ends occur, and nothing beyond', () => {
    expect([...new Set(sample((random) => uniformInteger(random, 14, 17)))].sort()).toEqual([14, 15, 16, 17]);
  });

  it('Zipf: weights fall as 1 / rank^exponent; exponent 0 is uniform', () => {
    const counts = (exponent: number): number[] => {
      const zipf = new Zipf(4, exponent);
      const found = [0, 0, 0, 0];
      for (const rank of sample((random) => zipf.draw(random))) found[rank]!++;
      return found.map((count) => count / draws);
    };
    const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
    for (const [rank, share] of counts(1).entries()) expect(share).toBeCloseTo(1 / (rank + 1) / harmonic, 1);
    for (const share of counts(0)) expect(share).toBeCloseTo(0.25, 1);
  });

  it('shuffle: a permutation, every place equally likely', () => {
    const random = new Random(5);
    const firsts = [0, 0, 0];
    for (let i = 0; i < 9000; i++) {
      const items = [0, 1, 2];
      shuffle(items, random);
      expect([...items].sort()).toEqual([0, 1, 2]);
      firsts[items[0]!]!++;
    }
    for (const count of firsts) expect(Math.abs(count - 3000)).toBeLessThan(200);
  });
});
