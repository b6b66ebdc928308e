// One pass over a prompt's blocks that finds the leading run of every worker.

import type { BlockHashes } from '../types.ts';
import { noBlock } from './block-numbers.ts';
import type { BlockRows } from './block-rows.ts';

/** Blocks that are looked up at a time. */
const stretchMax = 32;

export class OverlapScan {
  /** The workers whose run continues, one bit each. */
  #active: Int32Array = new Int32Array(1);
  /** The words of `#active` that are not 0, in any order, in the first `#liveCount` entries. */
  #live: Int32Array = new Int32Array(1);
  #liveCount = 0;
  /** See `#collectJoins`. */
  #firstJoins: Int32Array = new Int32Array(0);
  #nextJoins: Int32Array = new Int32Array(0);

  /**
   * On entry `out[w]` is the number of promised leading blocks of w; on return it is the length of the longest leading
   * run of blocks that w holds or was promised. O(workers + blocks of the longest run)
   * @param present one bit a worker: the others keep their entries of `out`
   */
  run(rows: BlockRows, present: Int32Array, hashes: BlockHashes, out: Int32Array, workerCount: number): void {
    const { sequence, count } = hashes;
    if (this.#active.length < present.length) {
      this.#active = new Int32Array(present.length);
      this.#live = new Int32Array(present.length);
    }
    let joining = this.#collectJoins(present, out, workerCount, count);
    let before = noBlock;
    let block = 0;
    while (block < count && this.#liveCount + joining > 0) {
      if (joining > 0) joining -= this.#join(block);
      if (this.#liveCount === 0) {
        before = noBlock;
        block++;
        continue;
      }
      const first = rows.findBehind(before, sequence[2 * block]!, sequence[2 * block + 1]!);
      before = first;
      if (first === noBlock) {
        this.#endAll(block++, out);
        continue;
      }
      const end = this.#endOfStretch(block, Math.min(count, block + stretchMax), joining);
      const length = rows.runLength(first, sequence, block, end);
      this.#narrow(rows.planes, first, length, block, out);
      before = first + length - 1;
      block += length;
    }
    this.#endAll(count, out);
  }

  /**
   * Takes the workers out of `#active` that lack one of `length` blocks with numbers in a row.
   * @param position of the first block in the prompt
   */
  #narrow(planes: readonly Int32Array[], first: number, length: number, position: number, out: Int32Array): void {
    for (let i = this.#liveCount - 1; i >= 0; i--) {
      const word = this.#live[i]!;
      const plane = planes[word]!;
      let held = this.#active[word]!;
      for (let k = 0; k < length; k++) {
        const after = held & plane[first + k]!;
        if (after === held) continue;
        end(word, held & ~after, position + k, out);
        held = after;
        if (held === 0) break;
      }
      this.#active[word] = held;
      if (held === 0) this.#live[i] = this.#live[--this.#liveCount]!;
    }
  }

  /** Ends the runs of all workers. */
  #endAll(block: number, out: Int32Array): void {
    for (let i = 0; i < this.#liveCount; i++) {
      const word = this.#live[i]!;
      end(word, this.#active[word]!, block, out);
      this.#active[word] = 0;
    }
    this.#liveCount = 0;
  }

  /** Before `end`, but not behind the next block where a worker joins. */
  #endOfStretch(block: number, end: number, joining: number): number {
    if (joining === 0) return end;
    for (let next = block + 1; next < end; next++) if (this.#firstJoins[next]! >= 0) return next;
    return end;
  }

  /** Activates the workers whose promised blocks end here. @returns how many */
  #join(block: number): number {
    let joined = 0;
    for (let worker = this.#firstJoins[block]!; worker >= 0; worker = this.#nextJoins[worker]!) {
      this.#activate(worker);
      joined++;
    }
    return joined;
  }

  /**
   * Puts workers with promised blocks into lists by the block where those end: `#firstJoins[block]` is the first worker,
   * `#nextJoins[worker]` the next one, -1 ends a list. Workers without promised blocks go into `#active` at once.
   * @returns how many are in the lists. The lists are valid only if there are any.
   */
  #collectJoins(present: Int32Array, out: Int32Array, workerCount: number, count: number): number {
    const active = this.#active;
    active.set(present);
    let joining = 0;
    for (let worker = 0; worker < workerCount; worker++) {
      const promised = out[worker]!;
      if (promised === 0) continue;
      const bit = 1 << (worker & 31);
      const word = worker >>> 5;
      if ((active[word]! & bit) === 0) continue;
      active[word] = active[word]! & ~bit;
      if (promised >= count) continue;
      if (joining++ === 0) this.#emptyLists(workerCount, count);
      this.#nextJoins[worker] = this.#firstJoins[promised]!;
      this.#firstJoins[promised] = worker;
    }
    this.#liveCount = 0;
    for (let word = 0; word < present.length; word++) {
      const others = workerCount - 32 * word;
      if (others < 32) active[word] = others <= 0 ? 0 : active[word]! & ((1 << others) - 1);
      if (active[word] !== 0) this.#live[this.#liveCount++] = word;
    }
    return joining;
  }

  #activate(worker: number): void {
    const word = worker >>> 5;
    if (this.#active[word] === 0) this.#live[this.#liveCount++] = word;
    this.#active[word] = this.#active[word]! | (1 << (worker & 31));
  }

  #emptyLists(workerCount: number, count: number): void {
    if (this.#nextJoins.length < workerCount) this.#nextJoins = new Int32Array(workerCount);
    if (this.#firstJoins.length < count) this.#firstJoins = new Int32Array(2 * count);
    this.#firstJoins.fill(-1, 0, count);
  }
}

/** The runs of the workers with these bits end. */
function end(word: number, bits: number, block: number, out: Int32Array): void {
  let rest = bits;
  while (rest !== 0) {
    const bit = 31 - Math.clz32(rest);
    rest &= ~(1 << bit);
    out[word * 32 + bit] = block;
  }
}
