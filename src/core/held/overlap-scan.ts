// One pass over a prompt's blocks that finds the leading run of every worker.

import type { HashTable } from '../blocks/hash-table.ts';
import type { BlockHashes } from '../types.ts';

/** Blocks whose slots the scan reads ahead: few at first, since most workers may drop out early. */
const stretchMin = 8;
const stretchMax = 64;

export class OverlapScan {
  /** The workers whose run continues, one bit each. */
  #active: Uint32Array = new Uint32Array(1);
  /** The words of `#active` that are not 0, in any order, in the first `#liveCount` entries. */
  #live: Int32Array = new Int32Array(1);
  #liveCount = 0;
  /** See `#collectJoins`. */
  #firstJoins: Int32Array = new Int32Array(0);
  #nextJoins: Int32Array = new Int32Array(0);

  /**
   * On entry `out[w]` is the number of promised leading blocks of w; on return it is the length of the longest leading
   * run of blocks that w holds or was promised. O(workers + blocks of the longest run)
   * @param blocks sequence hash -> a bit for each worker, in `words` words
   * @param holders undefined for workers that keep their entries of `out`
   */
  run(
    blocks: HashTable,
    words: number,
    holders: readonly unknown[],
    hashes: BlockHashes,
    out: Int32Array,
    workerCount: number,
  ): void {
    const { sequence, count } = hashes;
    if (this.#active.length < words) {
      this.#active = new Uint32Array(words);
      this.#live = new Int32Array(words);
    }
    const active = this.#active.fill(0, 0, words);
    const live = this.#live;
    this.#liveCount = 0;
    let joining = this.#collectJoins(holders, out, workerCount, count);
    let touched = 0;
    let stretch = stretchMin;
    for (let block = 0; block < count && this.#liveCount + joining > 0; block++) {
      if (joining > 0) {
        for (let worker = this.#firstJoins[block]!; worker >= 0; worker = this.#nextJoins[worker]!) {
          this.#activate(worker);
          joining--;
        }
      }
      if (this.#liveCount === 0) continue;
      if (block >= touched) {
        touched = Math.min(count, block + stretch);
        blocks.touch(sequence, 2 * block, 2 * touched);
        if (stretch < stretchMax) stretch *= 2;
      }
      const at = blocks.find(sequence[2 * block]!, sequence[2 * block + 1]!);
      const slots = blocks.slots;
      for (let i = this.#liveCount - 1; i >= 0; i--) {
        const word = live[i]!;
        const before = active[word]!;
        const after = at < 0 ? 0 : (before & slots[at + 2 + word]!) >>> 0;
        if (after === before) continue;
        let dropped = before & ~after;
        active[word] = after;
        while (dropped !== 0) {
          const bit = 31 - Math.clz32(dropped);
          dropped &= ~(1 << bit);
          out[word * 32 + bit] = block;
        }
        if (after === 0) live[i] = live[--this.#liveCount]!;
      }
    }
    for (let word = 0; word < words; word++) {
      let rest = active[word]!;
      while (rest !== 0) {
        const bit = 31 - Math.clz32(rest);
        rest &= ~(1 << bit);
        out[word * 32 + bit] = count;
      }
    }
  }

  /**
   * Puts workers with promised blocks into lists by the block where those end: `#firstJoins[block]` is the first worker,
   * `#nextJoins[worker]` the next one, -1 ends a list. Workers without promised blocks go into `#active` at once.
   * @returns how many are in the lists. The lists are valid only if there are any.
   */
  #collectJoins(holders: readonly unknown[], out: Int32Array, workerCount: number, count: number): number {
    let joining = 0;
    for (let worker = 0; worker < workerCount; worker++) {
      const promised = out[worker]!;
      if (holders[worker] === undefined || promised >= count) continue;
      if (promised === 0) {
        this.#activate(worker);
        continue;
      }
      if (joining++ === 0) this.#emptyLists(workerCount, count);
      this.#nextJoins[worker] = this.#firstJoins[promised]!;
      this.#firstJoins[promised] = worker;
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
