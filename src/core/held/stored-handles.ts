// Stores the blocks of one event of a worker that has handles of its own: all handles first, then the blocks in rows.

import { BlockRows } from './block-rows.ts';
import { addOne, type Holdings } from './holdings.ts';

export class StoredHandles {
  readonly #rows: BlockRows;
  #offsets: Int32Array = new Int32Array(64);

  constructor(rows: BlockRows) {
    this.#rows = rows;
  }

  /** Whether there is room for as many distinct blocks. */
  fits(count: number): boolean {
    return this.#rows.size + count <= BlockRows.blocksMax;
  }

  /**
   * Adds one copy of each block. Only if they fit.
   * @param handles two words a block; may have more
   * @param sequence two words a block
   */
  store(holdings: Holdings, worker: number, before: number, handles: Uint32Array, sequence: Uint32Array): void {
    const rows = this.#rows;
    const { entries } = this.#insert(holdings, handles, sequence.length / 2);
    const offsets = this.#offsets;
    const count = sequence.length / 2;
    let last = before;
    for (let i = 0; i < count; ) {
      if (offsets[i]! < 0) {
        // A further copy under a known handle, which stands for the block that it stood for before.
        addOne(holdings.copies, handles[2 * i]! | 0, handles[2 * i + 1]! | 0);
        last = entries[~offsets[i]! + 2]!;
        i++;
        continue;
      }
      let to = i + 1;
      while (to < count && offsets[to]! >= 0) to++;
      const added = rows.holdRow(worker, last, sequence, i, to);
      for (let k = 0; k < added; k++) entries[offsets[i + k]! + 2] = rows.row[k]!;
      holdings.blocks += added;
      last = rows.last;
      i += added;
      if (i === to) continue;
      // The worker holds the block under another handle.
      const low = sequence[2 * i]! | 0;
      const high = sequence[2 * i + 1]! | 0;
      last = rows.hold(worker, last, low, high);
      addOne(holdings.shared, low, high);
      entries[offsets[i]! + 2] = last;
      i++;
    }
  }

  #insert({ handles }: Holdings, keys: Uint32Array, count: number): Holdings['handles'] {
    if (this.#offsets.length < count) this.#offsets = new Int32Array(count);
    handles.insertAll(keys, count, this.#offsets);
    return handles;
  }
}
