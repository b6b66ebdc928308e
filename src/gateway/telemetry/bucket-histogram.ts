// A Prometheus histogram fast enough to record every token.

import type { Registry } from 'prom-client';

/** Upper bounds in seconds, for both time to first token and token gaps. */
export const latencyBucketsS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

/** A traced value of a bucket; shown only in OpenMetrics. */
interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  readonly timeMs: number;
}

export class BucketHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: Float64Array;
  /** One more than the bounds: the last counts values above them all. */
  readonly #counts: Float64Array;
  /** The latest of each bucket. */
  readonly #exemplars: (Exemplar | null)[];
  #sum = 0;

  constructor(registry: Registry, name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
    this.#exemplars = new Array<Exemplar | null>(bounds.length + 1).fill(null);
    const metric = { name, get: () => this.#snapshot(), reset: () => undefined };
    // The registry accepts any object with a name and `get`, but its types only know prom-client's own metrics.
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  }

  /** @param traceId of a sampled trace that the value belongs to */
  record(value: number, times = 1, traceId: string | null = null): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]! += times;
    this.#sum += value * times;
    if (traceId !== null) this.#exemplars[bucket] = { traceId, value, timeMs: Date.now() };
  }

  #snapshot(): object {
    const values: object[] = [];
    let cumulated = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      cumulated += count;
      const le = this.#bounds[bucket] ?? '+Inf';
      const exemplar = this.#exemplars[bucket]!;
      values.push({
        metricName: `${this.#name}_bucket`,
        labels: { le },
        value: cumulated,
        ...(exemplar !== null && {
          exemplar: {
            labelSet: { trace_id: exemplar.traceId },
            value: exemplar.value,
            timestamp: exemplar.timeMs / 1000,
          },
        }),
      });
    }
    values.push({ metricName: `${this.#name}_sum`, labels: {}, value: this.#sum });
    values.push({ metricName: `${this.#name}_count`, labels: {}, value: cumulated });
    return { name: this.#name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}
