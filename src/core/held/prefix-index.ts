// Prefix index: which worker holds which blocks. Takes KV events (stored, removed, cleared) and returns leading
// overlaps.
//
// Blocks are identified by our own sequence hash. An engine's hashes are handles (per worker: handle -> sequence hash,
// and the number of copies). A set bit in a block's row means that the worker holds at least one copy. Nothing is inferred:
// a removed block is a hole even while its children are held, until it is stored again.

import { assert } from '../assert.ts';
import type { BlockHasher } from '../blocks/block-hash.ts';
import { HashTable } from '../blocks/hash-table.ts';
import type { BlockHashes, BlocksRemoved, BlocksStored, KvEvent, KvEventOutcome, WorkerIndex } from '../types.ts';
import { CoarseBlocks } from './coarse-blocks.ts';
import { HeldCopy } from './held-copy.ts';
import { addOne, Holdings, takeOne } from './holdings.ts';
import { OverlapScan } from './overlap-scan.ts';

export class PrefixIndex {
  /** Called for each block whose last copy was removed by an event. */
  onRemoved: (worker: WorkerIndex, low: number, high: number) => void = () => undefined;
  readonly #hasher: BlockHasher;
  readonly #holdings: (Holdings | undefined)[] = [];
  /** Sequence hash -> one bit a worker. */
  #blocks: HashTable;
  #words = 1;
  readonly #scan = new OverlapScan();
  /** Scratch of `#touchRemoved`: sequence hashes of a stretch of handles. */
  readonly #found: Uint32Array = new Uint32Array(128);

  constructor(hasher: BlockHasher) {
    this.#hasher = hasher;
    this.#blocks = new HashTable(1);
  }

  /** Adds a worker that holds nothing yet. */
  addWorker(worker: WorkerIndex): void {
    assert(this.#holdings[worker] === undefined, 'a worker is added to the index once');
    this.#holdings[worker] = new Holdings();
    if (worker < this.#words * 32) return;
    this.#blocks = this.#blocks.widened(2 * this.#words);
    this.#words *= 2;
    if (worker >= this.#words * 32) {
      this.#holdings[worker] = undefined;
      this.addWorker(worker);
    }
  }

  removeWorker(worker: WorkerIndex): void {
    this.clear(worker);
    this.#holdings[worker] = undefined;
  }

  /**
   * Sets the page size of the worker's events and the block size of the index, both in tokens. If they are equal, pages
   * are indexed as they come. Drops all blocks of the worker.
   */
  setPages(worker: WorkerIndex, pageSize: number, blockSize: number): void {
    this.clear(worker);
    const sink = {
      held: (low: number, high: number) => {
        this.addCopy(worker, low, high, low, high);
      },
      dropped: (low: number, high: number) => {
        this.removeCopy(worker, low, high);
      },
    };
    const holdings = this.#of(worker);
    holdings.coarse = pageSize === blockSize ? null : new CoarseBlocks(this.#hasher, pageSize, blockSize, sink);
    holdings.handlesAreHashes = holdings.coarse !== null;
  }

  /** Applies one event of one worker. O(blocks of the event), or O(blocks held) for `cleared` */
  apply(worker: WorkerIndex, event: KvEvent): KvEventOutcome {
    switch (event.kind) {
      case 'stored':
        return this.#of(worker).coarse?.store(event) ?? this.#stored(worker, event);
      case 'removed':
        return this.#of(worker).coarse?.remove(event) ?? this.#removed(worker, event);
      case 'cleared': {
        const held = this.heldBlocks(worker);
        this.clear(worker);
        return { appliedBlocks: held, orphanBlocks: 0, unknownBlocks: 0 };
      }
    }
  }

  /** Drops all blocks of the worker. O(blocks held), or O(blocks of all workers) if handles are sequence hashes */
  clear(worker: WorkerIndex): void {
    const holdings = this.#of(worker);
    holdings.coarse?.clear();
    if (holdings.handlesAreHashes) this.#clearHashes(worker, holdings);
    const handles = holdings.handles;
    for (let at = handles.next(0); at >= 0; at = handles.next(at + handles.stride)) {
      this.#unset(worker, handles.slots[at + 2]!, handles.slots[at + 3]!);
    }
    handles.clear();
    holdings.copies.clear();
    holdings.shared.clear();
    assert(holdings.blocks === 0, 'every held block has a handle, and no presumed block is left');
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
    return holdings.handlesAreHashes ? null : new HeldCopy(holdings);
  }

  /** Bytes of all tables. O(workers) */
  get bytes(): number {
    let bytes = this.#blocks.bytes;
    for (const holdings of this.#holdings) {
      if (!holdings) continue;
      const { handles, copies, shared, coarse } = holdings;
      bytes += handles.bytes + copies.bytes + shared.bytes + (coarse?.bytes ?? 0);
    }
    return bytes;
  }

  holds(worker: WorkerIndex, low: number, high: number): boolean {
    const at = this.#blocks.find(low, high);
    return at >= 0 && ((this.#blocks.slots[at + 2 + (worker >>> 5)]! >>> (worker & 31)) & 1) === 1;
  }

  /** Leading blocks of a prompt that one worker holds. O(blocks) */
  leadingBlocks(worker: WorkerIndex, { sequence, count }: BlockHashes): number {
    for (let block = 0; block < count; block++) {
      if (!this.holds(worker, sequence[2 * block]!, sequence[2 * block + 1]!)) return block;
    }
    return count;
  }

  /** Adds one copy of a block under a handle. @returns whether the worker did not hold the block before */
  addCopy(worker: WorkerIndex, handleLow: number, handleHigh: number, low: number, high: number): boolean {
    const { handles, copies, shared, handlesAreHashes } = this.#of(worker);
    if (handlesAreHashes) {
      if (this.#set(worker, low, high)) return true;
      addOne(shared, low, high);
      return false;
    }
    const at = handles.insert(handleLow, handleHigh);
    if (!handles.inserted) {
      addOne(copies, handleLow, handleHigh);
      return false;
    }
    const slots = handles.slots;
    slots[at + 2] = low;
    slots[at + 3] = high;
    if (this.#set(worker, low, high)) return true;
    addOne(shared, low, high);
    return false;
  }

  /** Marks a block as held without an event, until `giveUp`. Not for workers that send events. */
  presume(worker: WorkerIndex, low: number, high: number): void {
    if (this.#set(worker, low, high)) this.#of(worker).presumed++;
  }

  /** Withdraws a presumed block. */
  giveUp(worker: WorkerIndex, low: number, high: number): void {
    this.#of(worker).presumed--;
    this.#unset(worker, low, high);
  }

  /** Removes one copy. @returns whether the handle was known */
  removeCopy(worker: WorkerIndex, handleLow: number, handleHigh: number): boolean {
    const { handles, copies, shared, handlesAreHashes } = this.#of(worker);
    if (handlesAreHashes) return takeOne(shared, handleLow, handleHigh) || this.#drop(worker, handleLow, handleHigh);
    const at = handles.find(handleLow, handleHigh);
    if (at < 0) return false;
    if (takeOne(copies, handleLow, handleHigh)) return true;
    const low = handles.slots[at + 2]!;
    const high = handles.slots[at + 3]!;
    handles.remove(at);
    if (!takeOne(shared, low, high)) this.#drop(worker, low, high);
    return true;
  }

  /**
   * Computes the overlap of one prompt with every worker in one pass over its blocks. On entry `out[w]` is the number
   * of promised leading blocks of w; on return it is the length of the longest leading run of blocks that w holds or
   * was promised.
   * @param out one entry per worker; workers with another block size keep theirs, since their hashes cannot match
   * @param workerCount entries of `out` to process
   */
  overlaps(hashes: BlockHashes, out: Int32Array, workerCount: number): void {
    this.#scan.run(this.#blocks, this.#words, this.#holdings, hashes, out, workerCount);
  }

  /** Recomputes every total from the handles. @throws Error naming the total that differs */
  assertConsistent(): void {
    let bits = 0;
    for (let at = this.#blocks.next(0); at >= 0; at = this.#blocks.next(at + this.#blocks.stride)) {
      let row = 0;
      for (let word = 0; word < this.#words; word++) row += bitCount(this.#blocks.slots[at + 2 + word]!);
      assert(row > 0, 'a block in the index has a holder');
      bits += row;
    }
    let held = 0;
    for (let worker = 0; worker < this.#holdings.length; worker++) {
      const holdings = this.#holdings[worker];
      if (!holdings) continue;
      let further = 0;
      const { handles, copies, shared } = holdings;
      for (let at = copies.next(0); at >= 0; at = copies.next(at + copies.stride)) {
        assert(handles.find(copies.slots[at]!, copies.slots[at + 1]!) >= 0, 'a block with further copies has a handle');
      }
      for (let at = shared.next(0); at >= 0; at = shared.next(at + shared.stride)) further += shared.slots[at + 2]!;
      for (let at = handles.next(0); at >= 0; at = handles.next(at + handles.stride)) {
        assert(this.holds(worker, handles.slots[at + 2]!, handles.slots[at + 3]!), 'the block of a handle is held');
      }
      const told = holdings.blocks - holdings.presumed;
      assert(!holdings.handlesAreHashes || handles.size === 0, 'handles that are hashes are not kept');
      const isTold = holdings.handlesAreHashes || handles.size - further === told;
      assert(isTold, 'held blocks = handles - further handles + presumed blocks');
      held += holdings.blocks;
    }
    assert(bits === held, 'set bits = held blocks of all workers');
  }

  #stored(worker: WorkerIndex, event: BlocksStored): KvEventOutcome {
    const blockCount = event.hashes.length / 2;
    const sequence = event.sequence ?? this.#sequenceOfStored(worker, event);
    if (!sequence) return { appliedBlocks: 0, orphanBlocks: blockCount, unknownBlocks: 0 };
    const full = sequence.length / 2;
    const handles = event.hashes;
    this.#noteHandles(worker, handles === sequence);
    if (full > 1) {
      if (handles !== sequence) this.#of(worker).handles.touch(handles, 0, 2 * full);
      this.#blocks.touch(sequence, 0, 2 * full);
    }
    for (let i = 0; i < 2 * full; i += 2) {
      this.addCopy(worker, handles[i]!, handles[i + 1]!, sequence[i]!, sequence[i + 1]!);
    }
    return { appliedBlocks: full, orphanBlocks: blockCount - full, unknownBlocks: 0 };
  }

  /** Sequence hashes of the complete blocks. Null if the parent is unknown: a position is never guessed. */
  #sequenceOfStored(worker: WorkerIndex, event: BlocksStored): Uint32Array | null {
    const full = Math.min(event.hashes.length / 2, Math.floor(event.tokens.length / event.blockSize));
    const parent = event.parent ? this.#sequenceOf(worker, event.parent) : this.#hasher.root(event.blockSize, event);
    if (!parent) return null;
    if (event.extras) return this.#chainWithExtras(event, full, parent);
    return this.#hasher.chain(event.tokens, full, event.blockSize, parent);
  }

  #chainWithExtras(event: BlocksStored, full: number, parent: Uint32Array): Uint32Array {
    const { blockSize, tokens } = event;
    const sequence = new Uint32Array(2 * full);
    let above = parent;
    for (let block = 0; block < full; block++) {
      const extra = event.extras?.[block];
      if (extra) above = this.#hasher.mix(above, extra);
      above = this.#hasher.chain(tokens.subarray(block * blockSize, (block + 1) * blockSize), 1, blockSize, above);
      sequence.set(above, 2 * block);
    }
    return sequence;
  }

  #removed(worker: WorkerIndex, event: BlocksRemoved): KvEventOutcome {
    const handles = event.hashes;
    if (handles.length > 2) this.#touchRemoved(worker, handles);
    let applied = 0;
    for (let i = 0; i < handles.length; i += 2) if (this.removeCopy(worker, handles[i]!, handles[i + 1]!)) applied++;
    return { appliedBlocks: applied, orphanBlocks: 0, unknownBlocks: handles.length / 2 - applied };
  }

  /** Brings the slots of many handles and those of their blocks into the processor's cache, see `HashTable.touch`. */
  #touchRemoved(worker: WorkerIndex, handles: Uint32Array): void {
    const holdings = this.#of(worker);
    if (holdings.handlesAreHashes) {
      this.#blocks.touch(handles, 0, handles.length);
      return;
    }
    const table = holdings.handles;
    for (let from = 0; from < handles.length; from += this.#found.length) {
      const to = Math.min(handles.length, from + this.#found.length);
      table.touch(handles, from, to);
      let words = 0;
      for (let i = from; i < to; i += 2) {
        const at = table.find(handles[i]!, handles[i + 1]!);
        if (at < 0) continue;
        this.#found[words++] = table.slots[at + 2]!;
        this.#found[words++] = table.slots[at + 3]!;
      }
      this.#blocks.touch(this.#found, 0, words);
    }
  }

  /** A worker that holds nothing may begin to use sequence hashes as handles. It keeps to them until it is cleared. */
  #noteHandles(worker: WorkerIndex, areHashes: boolean): void {
    const holdings = this.#of(worker);
    if (holdings.handlesAreHashes === areHashes) return;
    if (areHashes && holdings.blocks > 0) return;
    assert(areHashes, 'the handles of a worker are all sequence hashes, or none is');
    holdings.handlesAreHashes = true;
  }

  #sequenceOf(worker: WorkerIndex, handle: Uint32Array): Uint32Array | null {
    const { handles, handlesAreHashes } = this.#of(worker);
    if (handlesAreHashes) return this.holds(worker, handle[0]!, handle[1]!) ? handle : null;
    const at = handles.find(handle[0]!, handle[1]!);
    return at < 0 ? null : handles.slots.slice(at + 2, at + 4);
  }

  #set(worker: WorkerIndex, low: number, high: number): boolean {
    const at = this.#blocks.insert(low, high) + 2 + (worker >>> 5);
    const slots = this.#blocks.slots;
    const bit = 1 << (worker & 31);
    if ((slots[at]! & bit) !== 0) return false;
    slots[at] = slots[at]! | bit;
    this.#of(worker).blocks++;
    return true;
  }

  /** The last copy of a block was removed. @returns whether the worker held it */
  #drop(worker: WorkerIndex, low: number, high: number): boolean {
    if (!this.#unset(worker, low, high)) return false;
    this.onRemoved(worker, low, high);
    return true;
  }

  #clearHashes(worker: WorkerIndex, holdings: Holdings): void {
    const held: number[] = [];
    for (let at = this.#blocks.next(0); at >= 0; at = this.#blocks.next(at + this.#blocks.stride)) {
      const low = this.#blocks.slots[at]!;
      const high = this.#blocks.slots[at + 1]!;
      if (this.holds(worker, low, high)) held.push(low, high);
    }
    for (let i = 0; i < held.length; i += 2) this.#unset(worker, held[i]!, held[i + 1]!, false);
    this.#blocks.shrink();
    holdings.handlesAreHashes = holdings.coarse !== null;
  }

  /** Clears the worker's bit of the block. @returns whether it was set */
  #unset(worker: WorkerIndex, low: number, high: number, shrinks = true): boolean {
    const at = this.#blocks.find(low, high);
    if (at < 0) return false;
    const slots = this.#blocks.slots;
    const word = at + 2 + (worker >>> 5);
    const bit = 1 << (worker & 31);
    if ((slots[word]! & bit) === 0) return false;
    slots[word] = slots[word]! & ~bit;
    this.#of(worker).blocks--;
    for (let i = 0; i < this.#words; i++) if (slots[at + 2 + i] !== 0) return true;
    this.#blocks.remove(at, shrinks);
    return true;
  }

  #of(worker: WorkerIndex): Holdings {
    const holdings = this.#holdings[worker];
    assert(holdings !== undefined, 'the worker is in the index');
    return holdings;
  }
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
