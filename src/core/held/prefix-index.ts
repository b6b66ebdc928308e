// Prefix index: which worker holds which blocks. Takes KV events (stored, removed, cleared) and returns leading
// overlaps.
//
// Blocks are identified by our own sequence hash. An engine's hashes are handles (per worker: handle -> block, and the
// number of copies). A set bit in a block's row means that the worker holds at least one copy. Nothing is inferred:
// a removed block is a hole even while its children are held, until it is stored again.

import { assert } from '../assert.ts';
import type { BlockHasher } from '../blocks/block-hash.ts';
import type { BlockHashes, BlocksRemoved, BlocksStored, KvEvent, KvEventOutcome, WorkerIndex } from '../types.ts';
import { newChain, noBlock } from './block-numbers.ts';
import { BlockRemoval, type RemovalListener } from './block-removal.ts';
import { BlockRows } from './block-rows.ts';
import { CoarseBlocks } from './coarse-blocks.ts';
import { HeldCopy } from './held-copy.ts';
import { addOne, Holdings } from './holdings.ts';
import { assertIndexConsistent } from './index-consistency.ts';
import { OverlapScan } from './overlap-scan.ts';
import { StoredHandles } from './stored-handles.ts';
import { sequenceOf } from './stored-sequence.ts';

/** Numbers of blocks that are looked at with each event, and with each block without events, after a worker was cleared. */
const sweptPerEvent = 1024;
const sweptPerBlock = 16;

export class PrefixIndex {
  readonly #hasher: BlockHasher;
  readonly #holdings: (Holdings | undefined)[] = [];
  /** One bit a worker. */
  #present: Int32Array = new Int32Array(1);
  readonly #rows = new BlockRows();
  readonly #storedHandles = new StoredHandles(this.#rows);
  readonly #removal = new BlockRemoval(this.#rows);
  readonly #scan = new OverlapScan();
  /** Sequence hash of the parent of a stored event, while it is applied. */
  readonly #parent = new Uint32Array(2);
  /** Hash of a block that leaves by itself. */
  readonly #one = new Uint32Array(2);

  constructor(hasher: BlockHasher) {
    this.#hasher = hasher;
  }

  /** Is told of each block whose last copy was removed by an event. */
  set listener(listener: RemovalListener) {
    this.#removal.listener = listener;
  }

  /** Adds a worker that holds nothing yet. */
  addWorker(worker: WorkerIndex): void {
    assert(this.#holdings[worker] === undefined, 'a worker is added to the index once');
    this.#holdings[worker] = new Holdings();
    this.#rows.addWorker(worker);
    const words = this.#rows.planes.length;
    if (this.#present.length < words) {
      const present = new Int32Array(words);
      present.set(this.#present);
      this.#present = present;
    }
    this.#present[worker >>> 5]! |= 1 << (worker & 31);
  }

  removeWorker(worker: WorkerIndex): void {
    this.clear(worker);
    this.#holdings[worker] = undefined;
    this.#present[worker >>> 5]! &= ~(1 << (worker & 31));
  }

  /**
   * Sets the page size of the worker's events and the block size of the index, both in tokens. If they are equal, pages
   * are indexed as they come. Drops all blocks of the worker.
   */
  setPages(worker: WorkerIndex, pageSize: number, blockSize: number): void {
    this.clear(worker);
    const sink = {
      held: (low: number, high: number) => {
        this.addCopy(worker, low, high, noBlock, low, high);
      },
      dropped: (low: number, high: number) => {
        this.#one[0] = low;
        this.#one[1] = high;
        this.#removal.remove(this.#of(worker), worker, this.#one);
      },
    };
    const holdings = this.#of(worker);
    holdings.coarse = pageSize === blockSize ? null : new CoarseBlocks(this.#hasher, pageSize, blockSize, sink);
    holdings.handlesAreHashes = holdings.coarse !== null;
  }

  /** Applies one event of one worker. O(blocks of the event); for `cleared` see `clear` */
  apply(worker: WorkerIndex, event: KvEvent): KvEventOutcome {
    if (this.#rows.hasDead) this.#sweep(sweptPerEvent);
    switch (event.kind) {
      case 'stored':
        return this.#of(worker).coarse?.store(event) ?? this.#stored(worker, event);
      case 'removed': {
        const outcome = this.#of(worker).coarse?.remove(event) ?? this.#removed(worker, event);
        this.#shrink();
        return outcome;
      }
      case 'cleared': {
        const held = this.heldBlocks(worker);
        this.clear(worker);
        return { appliedBlocks: held, orphanBlocks: 0, unknownBlocks: 0 };
      }
    }
  }

  /**
   * Drops all blocks of the worker. O(blocks of all workers), but some nanoseconds each: what is left of them is taken
   * apart with later events.
   */
  clear(worker: WorkerIndex): void {
    const holdings = this.#of(worker);
    holdings.coarse?.clear();
    holdings.handles.clear();
    holdings.copies.clear();
    holdings.shared.clear();
    if (holdings.blocks > 0) this.#rows.clear(worker);
    holdings.blocks = 0;
    holdings.presumed = 0;
    holdings.handlesAreHashes = holdings.coarse !== null;
  }

  /** Distinct blocks that the worker holds. O(1) */
  heldBlocks(worker: WorkerIndex): number {
    return this.#of(worker).blocks;
  }

  /** Blocks or pages kept from the worker's events. Includes pages of equal content and of incomplete blocks. O(1) */
  toldBlocks(worker: WorkerIndex): number {
    const { handles, coarse, handlesAreHashes, blocks } = this.#of(worker);
    if (coarse !== null) return coarse.handleCount;
    return handlesAreHashes ? blocks : handles.size;
  }

  /** What the worker's events have told. Null if it is kept in pages, or without handles. */
  copyOf(worker: WorkerIndex): HeldCopy | null {
    const holdings = this.#of(worker);
    return holdings.handlesAreHashes ? null : new HeldCopy(holdings, this.#rows);
  }

  /** Bytes of all tables. O(workers) */
  get bytes(): number {
    let bytes = this.#rows.bytes;
    for (const holdings of this.#holdings) {
      if (!holdings) continue;
      const { handles, copies, shared, coarse } = holdings;
      bytes += handles.bytes + copies.bytes + shared.bytes + (coarse?.bytes ?? 0);
    }
    return bytes;
  }

  holds(worker: WorkerIndex, low: number, high: number): boolean {
    const block = this.#rows.find(low, high);
    return block !== noBlock && this.#rows.has(worker, block);
  }

  /** Leading blocks of a prompt that one worker holds. O(blocks) */
  leadingBlocks(worker: WorkerIndex, { sequence, count }: BlockHashes): number {
    let found = noBlock;
    for (let block = 0; block < count; block++) {
      found = this.#rows.findBehind(found, sequence[2 * block]!, sequence[2 * block + 1]!);
      if (found === noBlock || !this.#rows.has(worker, found)) return block;
    }
    return count;
  }

  /**
   * Adds one copy of a block under a handle.
   * @param before the block that it probably comes behind, or `noBlock`
   * @returns the block; `noBlock`: the index is full (`BlockRows.blocksMax`)
   */
  addCopy(
    worker: WorkerIndex,
    handleLow: number,
    handleHigh: number,
    before: number,
    low: number,
    high: number,
  ): number {
    const holdings = this.#of(worker);
    const { handles, handlesAreHashes } = holdings;
    const rows = this.#rows;
    if (handlesAreHashes) {
      const block = rows.hold(worker, before, low, high);
      if (block === noBlock) return noBlock;
      if (rows.added) holdings.blocks++;
      else addOne(holdings.shared, low, high);
      return block;
    }
    const at = handles.insert(handleLow, handleHigh);
    if (!handles.inserted) {
      addOne(holdings.copies, handleLow, handleHigh);
      return handles.entries[at + 2]!;
    }
    const block = rows.hold(worker, before, low, high);
    if (block === noBlock) {
      handles.remove(at);
      return noBlock;
    }
    handles.entries[at + 2] = block;
    if (rows.added) holdings.blocks++;
    else addOne(holdings.shared, low, high);
    return block;
  }

  /** Marks a block as held without an event, until `giveUp`. Not for workers that send events. */
  presume(worker: WorkerIndex, low: number, high: number): void {
    if (this.#rows.hasDead) this.#sweep(sweptPerBlock);
    if (this.#rows.hold(worker, noBlock, low, high) === noBlock || !this.#rows.added) return;
    const holdings = this.#of(worker);
    holdings.blocks++;
    holdings.presumed++;
  }

  /** Withdraws a presumed block. */
  giveUp(worker: WorkerIndex, low: number, high: number): void {
    const block = this.#rows.find(low, high);
    if (block === noBlock || !this.#rows.drop(worker, block)) return;
    const holdings = this.#of(worker);
    holdings.blocks--;
    holdings.presumed--;
    this.#shrink();
  }

  /**
   * Computes the overlap of one prompt with every worker in one pass over its blocks. On entry `out[w]` is the number
   * of promised leading blocks of w; on return it is the length of the longest leading run of blocks that w holds or
   * was promised.
   * @param out one entry per worker; workers with another block size keep theirs, since their hashes cannot match
   * @param workerCount entries of `out` to process
   */
  overlaps(hashes: BlockHashes, out: Int32Array, workerCount: number): void {
    this.#scan.run(this.#rows, this.#present, hashes, out, workerCount);
  }

  /** Recomputes every total from the handles. @throws Error naming the total that differs */
  assertConsistent(): void {
    assertIndexConsistent(this.#rows, this.#holdings);
  }

  #stored(worker: WorkerIndex, event: BlocksStored): KvEventOutcome {
    const blockCount = event.hashes.length / 2;
    const { hashes: handles, parent } = event;
    let block = parent ? this.#blockOf(worker, parent) : blockCount > 1 ? newChain : noBlock;
    const sequence = event.sequence ?? this.#sequenceOfStored(event, block);
    if (!sequence) return { appliedBlocks: 0, orphanBlocks: blockCount, unknownBlocks: 0 };
    const full = sequence.length / 2;
    this.#noteHandles(worker, handles === sequence);
    if (handles === sequence) {
      const appliedBlocks = this.#storedHashes(worker, block, sequence);
      return { appliedBlocks, orphanBlocks: blockCount - appliedBlocks, unknownBlocks: 0 };
    }
    let applied = full;
    if (this.#storedHandles.fits(full)) {
      this.#storedHandles.store(this.#of(worker), worker, block, handles, sequence);
      return { appliedBlocks: full, orphanBlocks: blockCount - full, unknownBlocks: 0 };
    }
    for (let i = 0; i < 2 * full; i += 2) {
      // Signed words are small integers of V8: those from 2^31 would be objects on the heap.
      block = this.addCopy(worker, handles[i]! | 0, handles[i + 1]! | 0, block, sequence[i]! | 0, sequence[i + 1]! | 0);
      if (block === noBlock) applied--;
    }
    return { appliedBlocks: applied, orphanBlocks: blockCount - applied, unknownBlocks: 0 };
  }

  /** Blocks of a worker whose handles are their sequence hashes. @returns how many were stored */
  #storedHashes(worker: WorkerIndex, before: number, sequence: Uint32Array): number {
    const rows = this.#rows;
    const count = sequence.length / 2;
    let applied = count;
    let last = before;
    for (let i = 0; i < count; i++) {
      const added = rows.holdRow(worker, last, sequence, i, count);
      this.#of(worker).blocks += added;
      i += added;
      if (i === count) break;
      // A further copy, or the index is full.
      const low = sequence[2 * i]! | 0;
      const high = sequence[2 * i + 1]! | 0;
      last = this.addCopy(worker, low, high, rows.last, low, high);
      if (last === noBlock) applied--;
    }
    return applied;
  }

  /** Sequence hashes of the complete blocks. Null if the parent is unknown: a position is never guessed. */
  #sequenceOfStored(event: BlocksStored, parentBlock: number): Uint32Array | null {
    if (!event.parent) return sequenceOf(this.#hasher, event, null);
    if (parentBlock === noBlock) return null;
    const parent = this.#parent;
    parent[0] = this.#rows.low(parentBlock);
    parent[1] = this.#rows.high(parentBlock);
    return sequenceOf(this.#hasher, event, parent);
  }

  #removed(worker: WorkerIndex, { hashes }: BlocksRemoved): KvEventOutcome {
    const appliedBlocks = this.#removal.remove(this.#of(worker), worker, hashes);
    return { appliedBlocks, orphanBlocks: 0, unknownBlocks: hashes.length / 2 - appliedBlocks };
  }

  /** A worker that holds nothing may begin to use sequence hashes as handles. It keeps to them until it is cleared. */
  #noteHandles(worker: WorkerIndex, areHashes: boolean): void {
    const holdings = this.#of(worker);
    if (holdings.handlesAreHashes === areHashes) return;
    if (areHashes && holdings.blocks > 0) return;
    assert(areHashes, 'the handles of a worker are all sequence hashes, or none is');
    holdings.handlesAreHashes = true;
  }

  /** The block of a handle that the worker holds, or `noBlock`. */
  #blockOf(worker: WorkerIndex, handle: Uint32Array): number {
    const { handles, handlesAreHashes } = this.#of(worker);
    if (handlesAreHashes) {
      const block = this.#rows.find(handle[0]!, handle[1]!);
      return block !== noBlock && this.#rows.has(worker, block) ? block : noBlock;
    }
    const at = handles.find(handle[0]!, handle[1]!);
    return at < 0 ? noBlock : handles.entries[at + 2]!;
  }

  #sweep(numbersMax: number): void {
    this.#rows.sweep(numbersMax);
    if (!this.#rows.hasDead) this.#shrink();
  }

  /** Gives back memory that the blocks no longer need. O(1), or O(blocks and handles of all workers) after most are gone */
  #shrink(): void {
    if (!this.#rows.isSparse) return;
    const numbers = this.#rows.compact();
    for (const holdings of this.#holdings) {
      if (!holdings) continue;
      const { handles } = holdings;
      for (let at = handles.next(0); at >= 0; at = handles.next(at + handles.stride)) {
        handles.entries[at + 2] = numbers[handles.entries[at + 2]!]!;
      }
    }
  }

  #of(worker: WorkerIndex): Holdings {
    const holdings = this.#holdings[worker];
    assert(holdings !== undefined, 'the worker is in the index');
    return holdings;
  }
}
