// The search for the highest rate that meets a condition: brackets it by steps, then bisects on the logarithm.

/** Asks for one rate after another; what was told already (by an earlier, interrupted search) costs nothing. */
export class CapacitySearch {
  /** From one rate to the next while the bracket is open. */
  static readonly bracketFactor = 1.5;
  /** Of the bracket in the end: the capacity is known to 1 %. */
  static readonly resolution = 1.01;
  /** Rates asked for at most; a search that runs out of them has no capacity. */
  static readonly asksMax = 60;

  #met = 0;
  #missed = Number.POSITIVE_INFINITY;
  #next: number;
  #asks = 0;

  /** @param start where the capacity may be, from 0 (exclusive) up */
  constructor(start: number) {
    if (!(start > 0) || !Number.isFinite(start)) throw new RangeError(`start must be a positive number, got ${start}`);
    this.#next = start;
  }

  /** The rate to try next; null when the search is over. */
  get next(): number | null {
    const done = this.#missed / this.#met <= CapacitySearch.resolution || this.#asks >= CapacitySearch.asksMax;
    return done ? null : this.#next;
  }

  /** The highest rate that met the condition; 0: none did. */
  get capacity(): number {
    return this.#met;
  }

  /** The lowest rate that missed it; infinite: none did. */
  get missed(): number {
    return this.#missed;
  }

  /** The outcome at `next`. */
  tell(met: boolean): void {
    this.#asks++;
    if (met) this.#met = this.#next;
    else this.#missed = this.#next;
    if (this.#met === 0) this.#next = this.#missed / CapacitySearch.bracketFactor;
    else if (this.#missed === Number.POSITIVE_INFINITY) this.#next = this.#met * CapacitySearch.bracketFactor;
    else this.#next = Math.sqrt(this.#met * this.#missed);
  }
}
