// Metrics of the queues: depth per pool, waiting times and outcomes.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { QueueObserver, QueueOutcome } from '../pools/admission-desk.ts';
import type { Pools } from '../pools/pools.ts';
import { BucketHistogram, latencyBucketsS } from './bucket-histogram.ts';

/** What the gauges read of a queue. */
interface QueueDepth {
  readonly waiting: number;
  readonly waitingBlocks: number;
  readonly keptWorkers: number;
}

export class AdmissionMetrics implements QueueObserver {
  readonly #outcomes: Counter<'outcome'>;
  readonly #waitS: BucketHistogram;
  readonly #heldByReserve: Counter;

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
    this.#heldByReserve = new Counter({
      name: 'kvoyant_tenant_reserve_held_total',
      help: 'Requests that left the queue and were held there while workers were kept free for other tenants.',
      registers,
    });
    const gauge = (name: string, help: string, read: (queue: QueueDepth) => number) =>
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
    gauge(
      'kvoyant_tenant_reserve_workers',
      'Workers that tenants with more requests than their share leave free for others.',
      ({ keptWorkers }) => keptWorkers,
    );
    gauge('kvoyant_queue_blocks', 'KV blocks that queued requests need.', ({ waitingBlocks }) => waitingBlocks);
  }

  full(): void {
    this.#outcomes.inc({ outcome: 'full' });
  }

  left(outcome: Exclude<QueueOutcome, 'full'>, waitedMs: number, heldByReserve: boolean): void {
    if (heldByReserve) this.#heldByReserve.inc();
    this.#outcomes.inc({ outcome });
    this.#waitS.record(waitedMs / 1000);
  }
}
