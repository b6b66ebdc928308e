// Metrics of the queues: how many requests wait in each pool, how long they waited, and how it ended.

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
      help: 'Requests that left the queue or found it full, by how that ended.',
      labelNames: ['outcome'],
      registers,
    });
    this.#waitS = new BucketHistogram(
      registry,
      'kvoyant_queue_wait_seconds',
      'Time in the queue of requests that had to wait, however that ended.',
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
    gauge('kvoyant_queue_depth', 'Requests that wait for room.', ({ waiting }) => waiting);
    gauge('kvoyant_queue_blocks', 'KV blocks that they ask for.', ({ waitingBlocks }) => waitingBlocks);
  }

  full(): void {
    this.#outcomes.inc({ outcome: 'full' });
  }

  left(outcome: Exclude<QueueOutcome, 'full'>, waitedMs: number): void {
    this.#outcomes.inc({ outcome });
    this.#waitS.record(waitedMs / 1000);
  }
}
