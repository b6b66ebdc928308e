// Rate at which bookings free blocks, from irregular readings of a counter.

/** Length of the window. */
const windowS = 30;

export class ReleaseRate {
  /** First reading of the counter in each second of the window, by second modulo its length. */
  readonly #totals: Float64Array = new Float64Array(windowS + 1);
  readonly #seconds: Float64Array = new Float64Array(windowS + 1).fill(-1);

  /** @param total all blocks freed so far */
  observe(total: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const at = second % this.#seconds.length;
    if (this.#seconds[at] === second) return;
    this.#seconds[at] = second;
    this.#totals[at] = total;
  }

  /** Rate since the oldest reading in the window, which counts as at least one second old. O(window) */
  blocksPerS(total: number, nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    let oldest = second;
    let before = total;
    for (let at = 0; at < this.#seconds.length; at++) {
      const seen = this.#seconds[at]!;
      if (seen < 0 || seen < second - windowS || seen >= oldest) continue;
      oldest = seen;
      before = this.#totals[at]!;
    }
    return (total - before) / Math.max(1, nowMs / 1000 - oldest);
  }
}
