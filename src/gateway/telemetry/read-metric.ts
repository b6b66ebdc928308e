// Metrics whose samples are kept elsewhere: read at each scrape, gone with their worker.
//
// Not prom-client's own classes: they look up each sample by its labels, which takes most of a scrape with many workers.

import type { Registry } from 'prom-client';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labelNames: readonly string[];
  /** Each set of labels once. */
  read(): Iterable<Sample>;
}

export function registerRead(registry: Registry, { name, help, type, labelNames, read }: ReadMetric): void {
  const get = () => ({ name, help, type, values: [...read()], aggregator: 'sum' });
  const metric = { name, labelNames, get, reset: () => undefined };
  // The registry accepts any object with a name and `get`, but its types only know prom-client's own metrics.
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
}

/** Workers without a value are left out. */
export type WorkerValues = () => Iterable<readonly [worker: string, value: number]>;

/** One value for each worker. */
export function registerOfWorkers(
  registry: Registry,
  type: ReadMetric['type'],
  name: string,
  help: string,
  values: WorkerValues,
): void {
  function* read(): Generator<Sample> {
    for (const [worker, value] of values()) yield { labels: { worker }, value };
  }
  registerRead(registry, { name, help, type, labelNames: ['worker'], read });
}
