// A Prometheus histogram fast enough to record every token.

import type { Registry } from 'prom-client';

/** Upper bounds in seconds, for both time to first token and token gaps. */
export const latencyBucketsS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

export class BucketHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: Float64Array;
  /** One more than the bounds: the last counts values above them all. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(registry: Registry, name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
    const metric = { name, get: () => this.#snapshot(), reset: () => undefined };
    // The registry accepts any object with a name and `get`, but its types only know prom-client's own metrics.
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  }

  record(value: number, times = 1): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]! += times;
    this.#sum += value * times;
  }

  #snapshot(): object {
    const values: object[] = [];
    let cumulated = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      cumulated += count;
      const le = this.#bounds[bucket] ?? '+Inf';
      values.push({ metricName: `${this.#name}_bucket`, labels: { le }, value: cumulated });
    }
    values.push({ metricName: `${this.#name}_sum`, labels: {}, value: this.#sum });
    values.push({ metricName: `${this.#name}_count`, labels: {}, value: cumulated });
    return { name: this.#name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}
