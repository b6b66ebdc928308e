// How many blocks a second ends of bookings have set free lately: from a counter that is looked at now and then.

/** How far back it looks. */
const windowS = 30;

export class ReleaseRate {
  /** The counter as first seen in each second of the window, by second modulo its length. */
  readonly #totals: Float64Array = new Float64Array(windowS + 1);
  readonly #seconds: Float64Array = new Float64Array(windowS + 1).fill(-1);

  /** @param total of all blocks ever set free */
  observe(total: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const at = second % this.#seconds.length;
    if (this.#seconds[at] === second) return;
    this.#seconds[at] = second;
    this.#totals[at] = total;
  }

  /** Since the oldest look within the window, taken as at least a second ago. O(window) */
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
