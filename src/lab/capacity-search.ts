// The search for the highest rate that meets a condition which need not be monotone in the rate.

/**
 * Goes down from the top in steps until enough neighbouring rates have met the condition, then halves the gaps at both
 * edges of the region in which some rates meet it and some do not. Knows only the rates that were tried.
 */
export class CapacitySearch {
  /** From one rate to the next on the way down. */
  static readonly step = 1.1;
  /** Rates at the lower end that have to meet the condition before the way down ends: a third from the lowest to the highest. */
  static readonly calmRates = 4;
  /** Gaps at the edges are halved until they are at most this: a quarter of a step. */
  static readonly resolution: number = 1.1 ** (1 / 4);
  /** Rates asked for at most: the way down ends at a hundredth of the top. */
  static readonly asksMax = 80;
  static readonly #bottomShare = 0.01;

  readonly #top: number;
  /** Rate -> whether it met the condition. */
  readonly #outcomes = new Map<number, boolean>();
  #steps = 0;
  #asks = 0;

  /** @param top no rate above it is tried */
  constructor(top: number) {
    if (!(top > 0) || !Number.isFinite(top)) throw new RangeError(`top must be a positive number, got ${top}`);
    this.#top = top;
  }

  /** The rate to try next; null when the search is over. */
  get next(): number | null {
    if (this.#asks >= CapacitySearch.asksMax) return null;
    const tried = this.#tried();
    const rate = this.#top / CapacitySearch.step ** this.#steps;
    const firstMiss = tried.findIndex(([, met]) => !met);
    const calm = firstMiss < 0 ? tried.length : firstMiss;
    if (calm < CapacitySearch.calmRates && rate >= this.#top * CapacitySearch.#bottomShare) return rate;
    return this.#gapAt(tried, this.low) ?? this.#gapAt(tried, this.#belowHigh(tried));
  }

  /** The highest rate that met the condition as did all tried below it; 0: the lowest one missed it. */
  get low(): number {
    let low = 0;
    for (const [rate, met] of this.#tried()) {
      if (!met) break;
      low = rate;
    }
    return low;
  }

  /** The lowest rate that missed the condition as did all tried above it; null: the highest one met it. */
  get high(): number | null {
    let high: number | null = null;
    for (const [rate, met] of this.#tried().reverse()) {
      if (met) break;
      high = rate;
    }
    return high;
  }

  /** The outcome at a rate that was asked for; a later one takes the place of an earlier one. */
  tell(rate: number, met: boolean): void {
    this.#asks++;
    if (rate === this.#top / CapacitySearch.step ** this.#steps) this.#steps++;
    this.#outcomes.set(rate, met);
  }

  /** From the lowest rate up. */
  #tried(): [number, boolean][] {
    return [...this.#outcomes].sort(([a], [b]) => a - b);
  }

  /** The highest rate below `high`; 0: there is none. */
  #belowHigh(tried: readonly [number, boolean][]): number {
    const high = this.high ?? 0;
    return tried.findLast(([rate]) => rate < high)?.[0] ?? 0;
  }

  /** The middle of the gap above a rate, if there is one and it is too wide. */
  #gapAt(tried: readonly [number, boolean][], from: number): number | null {
    const to = tried.find(([rate]) => rate > from)?.[0];
    if (from === 0 || to === undefined || to / from <= CapacitySearch.resolution * (1 + 1e-9)) return null;
    return Math.sqrt(from * to);
  }
}
