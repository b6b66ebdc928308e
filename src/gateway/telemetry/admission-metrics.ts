// Metrics of the queues: depth per pool, waiting times and outcomes.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { QueueObserver, QueueOutcome } from '../pools/admission-desk.ts';
import type { Pools } from '../pools/pools.ts';
import { BucketHistogram, latencyBucketsS } from './bucket-histogram.ts';

export class AdmissionMetrics implements QueueObserver {
  readonly #outcomes: Counter<'outcome'>;
  readonly #waitS: BucketHistogram;

  constructor(registry: Registry, pools: Pools) {
    const registers = [registry];
    this.#outcomes = new Counter({
      name: 'kvoyant_queue_outcomes_total',
      help: 'Requests that left the queue or found it full, by outcome.',
      labelNames: ['outcome'],
      registers,
    });
    this.#waitS = new BucketHistogram(
      registry,
      'kvoyant_queue_wait_seconds',
      'Time that requests waited in the queue, whatever the outcome.',
      latencyBucketsS,
    );
    const gauge = (name: string, help: string, read: (queue: { waiting: number; waitingBlocks: number }) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ['pool'],
        registers,
        collect() {
          this.reset();
          for (const { name: pool, desk } of pools) this.set({ pool }, read(desk));
        },
      });
    gauge('kvoyant_queue_depth', 'Requests in the queue.', ({ waiting }) => waiting);
    gauge('kvoyant_queue_blocks', 'KV blocks that queued requests need.', ({ waitingBlocks }) => waitingBlocks);
  }

  full(): void {
    this.#outcomes.inc({ outcome: 'full' });
  }

  left(outcome: Exclude<QueueOutcome, 'full'>, waitedMs: number): void {
    this.#outcomes.inc({ outcome });
    this.#waitS.record(waitedMs / 1000);
  }
}
