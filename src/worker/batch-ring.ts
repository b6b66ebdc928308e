// Ring buffer of a publisher's last batches, for replays.

export interface KeptBatch {
  readonly seq: number;
  readonly payload: Uint8Array;
}

export class BatchRing {
  readonly #max: number;
  readonly #kept: KeptBatch[] = [];

  /** @param max batches to keep; the oldest are dropped first */
  constructor(max: number) {
    this.#max = max;
  }

  /** @param seq one more than in the previous call */
  add(seq: number, payload: Uint8Array): void {
    if (this.#max > 0) this.#kept[seq % this.#max] = { seq, payload };
  }

  /** Kept batches from `seq` on, in order, including batches added during the iteration. */
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
