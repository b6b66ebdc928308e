// Search for the highest rate that meets a condition. The condition need not be monotone in the rate.

/**
 * Goes down from the top in steps until enough neighbouring rates meet the condition. Then it halves the gaps at both
 * edges of the region in which some rates meet it and some do not.
 */
export class CapacitySearch {
  /** Factor between two rates on the way down. */
  static readonly step = 1.1;
  /** Lowest rates in a row that must meet the condition before the way down ends. They span a factor of 1.33. */
  static readonly calmRates = 4;
  /** Default resolution: a quarter of a step. */
  static readonly resolution: number = 1.1 ** (1 / 4);
  /** Most rates to try. The way down ends at a hundredth of the top. */
  static readonly asksMax = 80;
  static readonly #bottomShare = 0.01;

  readonly #top: number;
  readonly #resolution: number;
  /** Rate -> whether it meets the condition. */
  readonly #outcomes = new Map<number, boolean>();
  #steps = 0;
  #asks = 0;

  /** @param top highest rate to try @param resolution gaps at the edges are halved until this factor, above 1 */
  constructor(top: number, resolution: number = CapacitySearch.resolution) {
    if (!(resolution > 1)) throw new RangeError(`resolution must be above 1, got ${resolution}`);
    this.#resolution = resolution;
    if (!(top > 0) || !Number.isFinite(top)) throw new RangeError(`top must be a positive number, got ${top}`);
    this.#top = top;
  }

  /** The rate to try next. Null when the search is over. */
  get next(): number | null {
    if (this.#asks >= CapacitySearch.asksMax) return null;
    const tried = this.#tried();
    const rate = this.#top / CapacitySearch.step ** this.#steps;
    const firstMiss = tried.findIndex(([, met]) => !met);
    const calm = firstMiss < 0 ? tried.length : firstMiss;
    if (calm < CapacitySearch.calmRates && rate >= this.#top * CapacitySearch.#bottomShare) return rate;
    return this.#gapAt(tried, this.low) ?? this.#gapAt(tried, this.#belowHigh(tried));
  }

  /** The highest rate that met the condition together with all lower tried rates. 0 if the lowest one missed it. */
  get low(): number {
    let low = 0;
    for (const [rate, met] of this.#tried()) {
      if (!met) break;
      low = rate;
    }
    return low;
  }

  /** The lowest rate that missed the condition together with all higher tried rates. Null if the highest one met it. */
  get high(): number | null {
    let high: number | null = null;
    for (const [rate, met] of this.#tried().reverse()) {
      if (met) break;
      high = rate;
    }
    return high;
  }

  /** Reports the outcome at a rate. A later outcome replaces an earlier one. */
  tell(rate: number, met: boolean): void {
    this.#asks++;
    if (rate === this.#top / CapacitySearch.step ** this.#steps) this.#steps++;
    this.#outcomes.set(rate, met);
  }

  /** Tried rates and outcomes, from the lowest rate up. */
  #tried(): [number, boolean][] {
    return [...this.#outcomes].sort(([a], [b]) => a - b);
  }

  /** The highest tried rate below `high`, or 0. */
  #belowHigh(tried: readonly [number, boolean][]): number {
    const high = this.high ?? 0;
    return tried.findLast(([rate]) => rate < high)?.[0] ?? 0;
  }

  /** The middle of the gap above a rate, if the gap is too wide. Otherwise null. */
  #gapAt(tried: readonly [number, boolean][], from: number): number | null {
    const to = tried.find(([rate]) => rate > from)?.[0];
    if (from === 0 || to === undefined || to / from <= this.#resolution * (1 + 1e-9)) return null;
    return Math.sqrt(from * to);
  }
}
