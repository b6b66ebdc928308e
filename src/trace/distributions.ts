// Random draws from the distributions used by workloads.

import type { Random } from '../core/random.ts';

/** Box-Muller transform. Uses one of its two values, so that no state is kept. */
export function normal(random: Random, mean: number, standardDeviation: number): number {
  const radius = Math.sqrt(random.exponential(2));
  return mean + standardDeviation * radius * Math.cos(2 * Math.PI * random.float());
}

/** exp of a normal draw: median `exp(mu)`, mean `exp(mu + sigma^2 / 2)`. */
export function lognormal(random: Random, mu: number, sigma: number): number {
  return Math.exp(normal(random, mu, sigma));
}

/** Mean `shape * scale`, coefficient of variation `1 / sqrt(shape)`. Marsaglia and Tsang, 2000. */
export function gamma(random: Random, shape: number, scale: number): number {
  if (shape < 1) {
    // Gamma(a) = Gamma(a + 1) * U^(1/a)
    return gamma(random, shape + 1, scale) * (1 - random.float()) ** (1 / shape);
  }
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random, 0, 1);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.float()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return d * v * scale;
  }
}

/** Number of trials up to and including the first success: 1, 2, ... with mean `1 / probability`. */
export function geometric(random: Random, probability: number): number {
  if (probability === 1) return 1;
  return 1 + Math.floor(Math.log(1 - random.float()) / Math.log1p(-probability));
}

/** Uniform integer in `min .. max`, both ends included. */
export function uniformInteger(random: Random, min: number, max: number): number {
  return min + random.below(max - min + 1);
}

/** Draws ranks 0 .. count - 1, where rank r has weight `1 / (r + 1)^exponent`. */
export class Zipf {
  readonly #cumulative: Float64Array;

  constructor(count: number, exponent: number) {
    this.#cumulative = new Float64Array(count);
    let sum = 0;
    for (let rank = 0; rank < count; rank++) {
      sum += (rank + 1) ** -exponent;
      this.#cumulative[rank] = sum;
    }
  }

  /** O(log count) */
  draw(random: Random): number {
    const cumulative = this.#cumulative;
    const target = random.float() * cumulative[cumulative.length - 1]!;
    let low = 0;
    let high = cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Fisher-Yates shuffle, in place. */
export function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = items[i]!;
    items[i] = items[j]!;
    items[j] = held;
  }
}
