// The last batches of a publisher, kept so that they can be asked for again.

export interface KeptBatch {
  readonly seq: number;
  readonly payload: Uint8Array;
}

export class BatchRing {
  readonly #max: number;
  readonly #kept: KeptBatch[] = [];

  /** @param max batches kept; the oldest go first */
  constructor(max: number) {
    this.#max = max;
  }

  /** @param seq one more than that of the call before */
  add(seq: number, payload: Uint8Array): void {
    if (this.#max > 0) this.#kept[seq % this.#max] = { seq, payload };
  }

  /** Kept batches numbered `seq` or higher, in order; those added meanwhile included. */
  *from(seq: number): Generator<KeptBatch> {
    if (this.#kept.length === 0) return;
    let next = this.#oldestFrom(seq);
    for (;;) {
      const batch = this.#kept[next % this.#max];
      if (batch === undefined || batch.seq < next) return;
      yield batch;
      next = batch.seq + 1;
    }
  }

  #oldestFrom(seq: number): number {
    const oldest = this.#kept.reduce((lowest, batch) => Math.min(lowest, batch.seq), Number.POSITIVE_INFINITY);
    return Math.max(seq, oldest);
  }
}
