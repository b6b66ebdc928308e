// Applies the KV events of one publisher to the router that keeps its worker's blocks.

import type { Logger } from 'pino';
import type { KvEvent } from '../core/index.ts';
import type { KvBatch } from '../wire/kv-events.ts';
import type { FeedBreak, FeedListener } from './kv-feed.ts';
import type { Worker } from './worker.ts';

export class EventIntake implements FeedListener {
  readonly #worker: Worker;
  readonly #log: Logger;
  #toldOfBlockSize = false;

  /** @param worker the one whose publisher it is; it has joined a pool */
  constructor(worker: Worker, log: Logger) {
    this.#worker = worker;
    this.#log = log;
  }

  batch(batch: KvBatch): void {
    const worker = this.#workerOf(batch.rank);
    for (const count of Object.values(batch.skipped)) worker.events.skippedEvents += count;
    for (const event of batch.events) this.#apply(worker, event);
  }

  broken(reason: FeedBreak): void {
    const { id, feed, membership } = this.#worker;
    membership!.pool.router.dropBlocks(membership!.index);
    this.#log.warn({ worker: id, reason, feed: feed?.status }, 'KV event feed broken: blocks forgotten');
  }

  /** A batch may name its data-parallel rank; otherwise it is that of the connection. */
  #workerOf(rank: number | null): Worker {
    if (rank === null || rank === this.#worker.rank) return this.#worker;
    return this.#worker.engine.workers.find((worker) => worker.rank === rank) ?? this.#worker;
  }

  #apply(worker: Worker, event: KvEvent): void {
    if (event.kind === 'stored' && !this.#fitsBlockSize(worker, event.blockSize)) {
      worker.events.skippedEvents += 1;
      return;
    }
    const { pool, index } = worker.membership!;
    const outcome = pool.router.applyKvEvent(index, event, performance.now());
    worker.events.appliedBlocks += outcome.appliedBlocks;
    worker.events.orphanBlocks += outcome.orphanBlocks;
    worker.events.unknownBlocks += outcome.unknownBlocks;
  }

  /** The first event is believed more than the engine's metrics; later ones, and the operator's setting, must agree. */
  #fitsBlockSize(worker: Worker, blockSize: number): boolean {
    const { traits, id, membership } = worker;
    if (blockSize === traits.blockSize) {
      if (traits.blockSizeFrom === 'assumed') worker.traits = { ...traits, blockSizeFrom: 'events' };
      return true;
    }
    if (traits.blockSizeFrom === 'setting' || traits.blockSizeFrom === 'events') {
      if (!this.#toldOfBlockSize) {
        this.#log.error(
          { worker: id, blockSize, expected: traits.blockSize },
          'KV events of another block size left out',
        );
      }
      this.#toldOfBlockSize = true;
      return false;
    }
    this.#log.info({ worker: id, blockSize }, 'block size learnt from KV events');
    worker.traits = { ...traits, blockSize, blockSizeFrom: 'events' };
    membership!.pool.router.setBlockSize(membership!.index, blockSize);
    return true;
  }
}
