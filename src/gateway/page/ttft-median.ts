// Median of times to first token since it was last taken: a small logarithmic histogram that many workers can afford.

/** Each bucket is this much wider than the one before: a median is off by at most half of it. */
const growth = 1.1;
const bucketCount = 144;
const firstMs = 0.5;
const logGrowth = Math.log(growth);

/** 576 bytes. Times beyond 400 s count as 400 s. */
export class TtftMedian {
  static readonly relativeErrorMax: number = growth - 1;
  readonly #counts = new Uint32Array(bucketCount);
  #count = 0;

  record(ms: number): void {
    const bucket = Math.floor(Math.log(Math.max(firstMs, ms) / firstMs) / logGrowth);
    this.#counts[Math.min(bucketCount - 1, bucket)]! += 1;
    this.#count += 1;
  }

  /** Empties it. @returns NaN if nothing was recorded. O(144) if anything was, else O(1) */
  take(): number {
    if (this.#count === 0) return Number.NaN;
    const rank = Math.ceil(this.#count / 2);
    let seen = 0;
    let bucket = -1;
    while (seen < rank) seen += this.#counts[++bucket]!;
    this.#counts.fill(0);
    this.#count = 0;
    return firstMs * growth ** (bucket + 0.5);
  }
}
