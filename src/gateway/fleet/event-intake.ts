// Applies one publisher's KV events to the router of its worker.

import type { Logger } from 'pino';
import type { KvEvent } from '../../core/index.ts';
import type { KvBatchHead, SkipReason } from '../../wire/kv-events.ts';
import type { Worker } from '../engines/engine.ts';
import type { WorkerTraits } from '../engines/worker-traits.ts';
import { routingBlockSize } from '../feeds/feed-block-size.ts';
import type { FeedBreak, FeedListener } from '../feeds/feed-listener.ts';
import { LogRate } from '../feeds/log-rate.ts';
import type { CopySource, PeerCopy } from '../feeds/peer-copy.ts';

/**
 * Stores in a row with another block size, after which that size is adopted: the first one then belonged to a special
 * group of blocks.
 */
const otherSizesMax = 16;

/** Batches with only partial-prefix blocks, after which the engine is taken to have no others. */
const partialBatchesMax = 3;

/** Announced blocks allowed, as a multiple of the engine's capacity. */
const heldPerRoomMax = 4;
/** Announced blocks always allowed. */
const heldBlocksMin = 65_536;
/** The same if the capacity is a guess. */
const heldGuessedMin = 2_097_152;

/** How many blocks events may announce for a worker, in blocks of its events. */
export function toldBlocksMax(traits: WorkerTraits): number {
  const { capacityBlocks, capacityFrom, blockSize, pageSize } = traits;
  const isGuess = capacityFrom !== 'setting' && capacityFrom !== 'engine';
  const room = heldPerRoomMax * capacityBlocks * Math.max(1, Math.floor(blockSize / pageSize));
  return Math.max(room, isGuess ? heldGuessedMin : heldBlocksMin);
}

export class EventIntake implements FeedListener {
  readonly #worker: Worker;
  readonly #log: Logger;
  /** The worker of the current batch, which may name another rank. */
  #target: Worker;
  /** Stores in a row with a block size other than the learnt one. */
  #otherSizes = 0;
  #toldOfBlockSize = false;
  #isOverfull = false;
  /** The feed was given up. */
  #isDead = false;
  /** The worker's blocks are mirrored from our own decisions, since no usable events arrive. */
  #isMirrored = false;
  /** Blocks with their whole prefix have been announced. */
  #toldWhole = false;
  /** Batches so far with only events of other attention kinds. */
  #partialBatches = 0;
  #isPartialCounted = false;
  readonly #copies: CopySource | null;
  readonly #onDisconnected: () => void;
  readonly #breakRate = new LogRate(() => performance.now());
  readonly #failureRate = new LogRate(() => performance.now());
  readonly #partialRate = new LogRate(() => performance.now());
  readonly #sizeRate = new LogRate(() => performance.now());

  /** @param worker the publisher's worker, which has joined a pool @param copies null: there are no other replicas */
  constructor(
    worker: Worker,
    log: Logger,
    copies: CopySource | null = null,
    onDisconnected: () => void = () => undefined,
  ) {
    this.#worker = worker;
    this.#target = worker;
    this.#log = log;
    this.#copies = copies;
    this.#onDisconnected = onDisconnected;
  }

  disconnected(): void {
    this.#onDisconnected();
  }

  batch({ rank }: KvBatchHead): void {
    const { engine } = this.#worker;
    const isOther = rank !== null && rank !== this.#worker.rank;
    this.#target = (isOther ? engine.workers.find((worker) => worker.rank === rank) : undefined) ?? this.#worker;
    this.#isPartialCounted = false;
  }

  event(event: KvEvent): void {
    const worker = this.#target;
    if (event.kind === 'stored') worker.storedWatch?.(event);
    if (event.kind === 'stored' && !this.#fits(worker, event.blockSize)) {
      worker.events.skippedEvents += 1;
      return;
    }
    if (worker.membership === null) return;
    if (event.kind === 'stored' && worker === this.#worker) this.#noteWhole();
    const { router, index } = worker.membership;
    if (event.kind === 'removed') this.#learnCapacity(worker);
    if (event.kind === 'stored' && !this.#hasRoom(worker, event.hashes.length / 2)) return;
    const outcome = router.applyKvEvent(index, event, performance.now());
    worker.events.appliedBlocks += outcome.appliedBlocks;
    worker.events.orphanBlocks += outcome.orphanBlocks;
    worker.events.unknownBlocks += outcome.unknownBlocks;
    if (event.kind === 'stored') worker.storedSinceLoss += outcome.appliedBlocks;
    // A block announced without all its tokens is not an orphan.
    const isOrphan = event.kind === 'stored' && outcome.orphanBlocks > 0 && event.tokens.length >= event.blockSize;
    if (isOrphan && outcome.appliedBlocks === 0) worker.feed?.resync();
  }

  skipped(reason: SkipReason): void {
    const { events } = this.#target;
    events.skippedEvents += 1;
    events.skipped[reason] = (events.skipped[reason] ?? 0) + 1;
    if (reason === 'attention-kind' && this.#target === this.#worker) this.#notePartial();
  }

  broken(reason: FeedBreak): void {
    const { id, feed, membership, traits } = this.#worker;
    if (membership === null) return;
    if (reason === 'restart') {
      // A new process may be a new version with another block size, which its first event shows.
      const blockSizeFrom = traits.blockSizeFrom === 'events' ? 'assumed' : traits.blockSizeFrom;
      this.#worker.traits = { ...traits, blockSizeFrom, pageSizeTold: false };
      this.#toldWhole = false;
      this.#partialBatches = 0;
      this.#setUnfit(null);
    }
    membership.router.dropBlocks(membership.index);
    // Logged where it is detected; what a copy replaces was broken before.
    if (reason === 'overfull' || reason === 'copied') return;
    const more = this.#breakRate.admit();
    if (more === null) return;
    const line = { worker: id, reason, feed: feed?.status, ...(more > 0 && { more }) };
    this.#log.warn(line, 'KV event feed broken: blocks forgotten');
  }

  /** Only if its blocks are indexed in the size in which they are announced. */
  async copy(seqMin: number, signal: AbortSignal): Promise<PeerCopy | null> {
    if (this.#copies === null || this.#worker.eventsUnfit !== null) return null;
    const copy = await this.#copies(this.#worker.id, seqMin, signal);
    const { traits } = this.#worker;
    const set = traits.blockSizeFrom === 'setting' ? traits.blockSize : null;
    if (copy === null || routingBlockSize(copy.blockSize, set) !== copy.blockSize) return null;
    this.#target = this.#worker;
    return copy;
  }

  lost(): void {
    this.#worker.account.agreeing = 0;
    this.#worker.storedSinceLoss = 0;
  }

  dead(reason: string): void {
    this.#isDead = true;
    this.#mirror();
    const { id, feed } = this.#worker;
    const line = { worker: id, endpoint: feed?.address.endpoint, reason };
    this.#log.warn(
      line,
      'no KV events from the engine: its blocks are assumed from our own decisions until events return',
    );
  }

  closed(): void {
    this.#isDead = false;
    this.#setUnfit(null);
  }

  alive(): void {
    this.#isDead = false;
    this.#mirror();
    const { id, feed } = this.#worker;
    this.#log.info({ worker: id, endpoint: feed?.address.endpoint }, 'KV events from the engine returned');
  }

  failed(error: unknown): void {
    const more = this.#failureRate.admit();
    if (more === null) return;
    this.#log.error(
      { worker: this.#worker.id, err: error, ...(more > 0 && { more }) },
      'KV event batch not applied: internal error',
    );
  }

  /**
   * Models with only sliding-window or state layers announce only blocks from which no prefix can be read. Models with
   * some full-attention layers announce those blocks in the same batches.
   */
  #notePartial(): void {
    if (this.#toldWhole || this.#isPartialCounted) return;
    this.#isPartialCounted = true;
    this.#partialBatches += 1;
    if (this.#partialBatches < partialBatchesMax || this.#worker.eventsUnfit !== null) return;
    this.#setUnfit('attention-kind');
    const more = this.#partialRate.admit();
    if (more === null) return;
    this.#log.warn(
      { worker: this.#worker.id, skipped: this.#worker.events.skipped, ...(more > 0 && { more }) },
      'KV events announce no block with its whole prefix (sliding windows, states): blocks are assumed from our own decisions',
    );
  }

  #noteWhole(): void {
    if (this.#toldWhole) return;
    this.#toldWhole = true;
    this.#setUnfit(null);
  }

  #setUnfit(unfit: Worker['eventsUnfit']): void {
    this.#worker.eventsUnfit = unfit;
    this.#mirror();
  }

  #mirror(): void {
    const isMirrored = this.#isDead || this.#worker.eventsUnfit !== null;
    if (this.#isMirrored === isMirrored || this.#worker.membership === null) return;
    this.#isMirrored = isMirrored;
    const { router, index } = this.#worker.membership;
    router.setSource(index, isMirrored ? 'approximate' : 'events');
  }

  /**
   * Whether this many more blocks may be held. If not, all are forgotten, and a store larger than the limit is skipped.
   */
  #hasRoom(worker: Worker, blockCount: number): boolean {
    const { router, index } = worker.membership!;
    const max = toldBlocksMax(worker.traits);
    if (router.toldBlocks(index) + blockCount <= max) return true;
    if (!this.#isOverfull) {
      this.#isOverfull = true;
      const { capacityBlocks, capacityFrom } = worker.traits;
      this.#log.warn(
        { worker: worker.id, toldBlocksMax: max, capacity: `${capacityBlocks} (${capacityFrom})` },
        'KV events announce more blocks than the engine can hold: all forgotten, as on every recurrence',
      );
    }
    if (worker.feed !== null) worker.feed.overfull();
    else router.dropBlocks(index);
    return blockCount <= max;
  }

  /**
   * The first event overrides the engine's metrics. Later events of another size are skipped (at most `otherSizesMax`),
   * since hybrid models announce some block groups in other sizes.
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
    membership!.router.setBlockSize(membership!.index, blockSize, pageSize);
    const more = this.#sizeRate.admit();
    if (more === null) return;
    this.#log.info({ worker: id, pageSize, blockSize, ...(more > 0 && { more }) }, 'block size learnt from KV events');
  }

  #refuse(worker: Worker, pageSize: number): void {
    worker.traits = { ...worker.traits, pageSizeUnfit: pageSize };
    if (this.#toldOfBlockSize) return;
    this.#toldOfBlockSize = true;
    const { id, traits } = worker;
    this.#log.error(
      { worker: id, pageSize, set: traits.blockSize },
      'KV events skipped: the configured block size is not a multiple of theirs',
    );
  }

  /** An engine evicts when it is full, so it has room for at least the blocks held by then. */
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
