// Overlaps of one prompt with every worker, kept while a plan looks at the prompt several times.

/**
 * Valid while neither the index nor the ledger changes. A plan can only lengthen the promised run of a worker: up to the
 * overlap that makes no difference, and behind it the worker may hold further blocks.
 */
export class KnownOverlaps {
  isFilled = false;
  /** By worker, in blocks. */
  readonly #blocks: Int32Array;

  constructor(workerCount: number) {
    this.#blocks = new Int32Array(workerCount);
  }

  keep(overlaps: Int32Array): void {
    this.isFilled = true;
    for (let worker = 0; worker < this.#blocks.length; worker++) this.#blocks[worker] = overlaps[worker]!;
  }

  /** Raises promised runs to the overlaps. @returns whether one is longer: its worker may hold the blocks behind it */
  raise(promised: Int32Array): boolean {
    let isLonger = false;
    for (let worker = 0; worker < this.#blocks.length; worker++) {
      const blocks = this.#blocks[worker]!;
      if (promised[worker]! > blocks) isLonger = true;
      else promised[worker] = blocks;
    }
    return isLonger;
  }
}
