// Counts of every key of a stream, without a bound: the naive twin of `HeavyHitters`.

export class NaiveCounts {
  readonly #counts = new Map<string, number>();
  total = 0;

  add(low: number, high: number, weight: number): void {
    const key = `${low},${high}`;
    this.#counts.set(key, this.of(low, high) + weight);
    this.total += weight;
  }

  of(low: number, high: number): number {
    return this.#counts.get(`${low},${high}`) ?? 0;
  }

  keys(): [low: number, high: number][] {
    return [...this.#counts.keys()].map((key) => key.split(',').map(Number) as [number, number]);
  }
}
