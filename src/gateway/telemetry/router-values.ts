// Metrics with one value per worker that routers keep: read when scraped, gone with their worker.

import { Counter, Gauge, type Registry } from 'prom-client';

/** Workers without a value are left out. */
export type WorkerValues = () => Iterable<readonly [worker: string, value: number]>;

export function routerGauge(registry: Registry, name: string, help: string, values: WorkerValues): void {
  new Gauge({
    name,
    help,
    labelNames: ['worker'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [worker, value] of values()) this.set({ worker }, value);
    },
  });
}

export function routerCounter(registry: Registry, name: string, help: string, values: WorkerValues): void {
  new Counter({
    name,
    help,
    labelNames: ['worker'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [worker, value] of values()) this.inc({ worker }, value);
    },
  });
}
