// Applies the KV events of one publisher to the router that keeps its worker's blocks.

import type { Logger } from 'pino';
import type { KvEvent } from '../../core/index.ts';
import type { KvBatchHead, SkipReason } from '../../wire/kv-events.ts';
import type { Worker } from '../engines/engine.ts';
import { routingBlockSize } from './feed-block-size.ts';
import type { FeedBreak, FeedListener } from './kv-feed.ts';

/** So many stores in a row of another size show that the size learnt first was that of a special group of blocks. */
const otherSizesMax = 16;

export class EventIntake implements FeedListener {
  readonly #worker: Worker;
  readonly #log: Logger;
  /** Whose events these are: the batch may say. */
  #target: Worker;
  /** Stores in a row whose block size is not the learnt one. */
  #otherSizes = 0;
  #toldOfBlockSize = false;

  /** @param worker the one whose publisher it is; it has joined a pool */
  constructor(worker: Worker, log: Logger) {
    this.#worker = worker;
    this.#target = worker;
    this.#log = log;
  }

  batch({ rank }: KvBatchHead): void {
    const { engine } = this.#worker;
    const isOther = rank !== null && rank !== this.#worker.rank;
    this.#target = (isOther ? engine.workers.find((worker) => worker.rank === rank) : undefined) ?? this.#worker;
  }

  event(event: KvEvent): void {
    const worker = this.#target;
    if (event.kind === 'stored') worker.storedWatch?.(event);
    if (event.kind === 'stored' && !this.#fits(worker, event.blockSize)) {
      worker.events.skippedEvents += 1;
      return;
    }
    const { router, index } = worker.membership!;
    if (event.kind === 'removed') this.#learnCapacity(worker);
    const outcome = router.applyKvEvent(index, event, performance.now());
    worker.events.appliedBlocks += outcome.appliedBlocks;
    worker.events.orphanBlocks += outcome.orphanBlocks;
    worker.events.unknownBlocks += outcome.unknownBlocks;
    // A block told of without all its tokens is no orphan.
    const isOrphan = event.kind === 'stored' && outcome.orphanBlocks > 0 && event.tokens.length >= event.blockSize;
    if (isOrphan && outcome.appliedBlocks === 0) worker.feed?.resync();
  }

  skipped(reason: SkipReason): void {
    const { events } = this.#target;
    events.skippedEvents += 1;
    events.skipped[reason] = (events.skipped[reason] ?? 0) + 1;
  }

  broken(reason: FeedBreak): void {
    const { id, feed, membership, traits } = this.#worker;
    // A new process may have other blocks than the one before.
    if (reason === 'restart') {
      const blockSizeFrom = traits.blockSizeFrom === 'events' ? 'assumed' : traits.blockSizeFrom;
      this.#worker.traits = { ...traits, blockSizeFrom, pageSizeTold: false };
    }
    membership!.router.dropBlocks(membership!.index);
    this.#log.warn({ worker: id, reason, feed: feed?.status }, 'KV event feed broken: blocks forgotten');
  }

  /**
   * The first event is believed more than the engine's metrics. Later ones of another size are left out: hybrid models
   * tell of some groups of blocks in other sizes.
   */
  #fits(worker: Worker, pageSize: number): boolean {
    const { traits } = worker;
    if (pageSize === traits.pageSize) {
      this.#otherSizes = 0;
      if (!traits.pageSizeTold) {
        const blockSizeFrom = traits.blockSizeFrom === 'assumed' ? 'events' : traits.blockSizeFrom;
        worker.traits = { ...traits, blockSizeFrom, pageSizeTold: true };
      }
      return true;
    }
    this.#otherSizes += 1;
    if (traits.pageSizeTold && this.#otherSizes < otherSizesMax) return false;
    const set = traits.blockSizeFrom === 'setting' ? traits.blockSize : null;
    const blockSize = routingBlockSize(pageSize, set);
    if (blockSize === null) {
      this.#refuse(worker, pageSize);
      return false;
    }
    this.#adopt(worker, pageSize, blockSize);
    return true;
  }

  #adopt(worker: Worker, pageSize: number, blockSize: number): void {
    const { traits, membership, id } = worker;
    const blockSizeFrom = traits.blockSizeFrom === 'setting' ? 'setting' : 'events';
    worker.traits = { ...traits, blockSize, pageSize, pageSizeTold: true, blockSizeFrom, pageSizeUnfit: null };
    this.#otherSizes = 0;
    this.#log.info({ worker: id, pageSize, blockSize }, 'block size learnt from KV events');
    membership!.router.setBlockSize(membership!.index, blockSize, pageSize);
  }

  #refuse(worker: Worker, pageSize: number): void {
    worker.traits = { ...worker.traits, pageSizeUnfit: pageSize };
    if (this.#toldOfBlockSize) return;
    this.#toldOfBlockSize = true;
    const { id, traits } = worker;
    this.#log.error(
      { worker: id, pageSize, set: traits.blockSize },
      'KV events left out: the block size that is set is no multiple of theirs',
    );
  }

  /** Blocks are removed when there is no room for others; so many as are held by then there is room for. */
  #learnCapacity(worker: Worker): void {
    const { traits, membership, feed } = worker;
    if (traits.capacityFrom !== 'assumed' && traits.capacityFrom !== 'evictions') return;
    if (feed === null || !feed.whole) return;
    const { router, index } = membership!;
    const heldBlocks = router.heldBlocks(index);
    if (heldBlocks < 1 || (traits.capacityFrom === 'evictions' && heldBlocks <= traits.capacityBlocks)) return;
    worker.traits = { ...traits, capacityBlocks: heldBlocks, capacityFrom: 'evictions' };
    router.setCapacity(index, heldBlocks, false);
  }
}
