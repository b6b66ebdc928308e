// Logarithmic histogram: fixed size, mergeable, with bounded relative error of quantiles.

/** All values of a bucket share their top `significantBits` bits. */
const significantBits = 7;
const halfBuckets = 1 << (significantBits - 1);
const bucketCount = (32 - significantBits + 2) * halfBuckets;
const unitsMax = 2 ** 32 - 1;

/**
 * Counts values of 0 .. `valueMax` in whole units of `resolution`. Below 128 units a bucket is one unit wide, above it
 * is at most 1/64 of its value wide; quantiles return the middle of a bucket. 14 KiB, about 5 ns per record.
 */
export class LogHistogram {
  /** Relative error of a quantile, in addition to half a `resolution` of rounding. */
  static readonly relativeErrorMax: number = 2 ** -significantBits;

  readonly resolution: number;
  /** Larger values are recorded as this one and counted in `clamped`. */
  readonly valueMax: number;
  // Doubles are exact up to 2^53; a busy server would overflow 32-bit counts within days.
  readonly #counts = new Float64Array(bucketCount);
  #count = 0;
  #clamped = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #lastValue = 0;
  #lastUnits = 0;
  #lastBucket = 0;

  /** @param resolution width of the narrowest bucket, in the unit of the values (0.01 for milliseconds: up to 12 h) */
  constructor(resolution: number) {
    if (!(resolution > 0) || !Number.isFinite(resolution)) {
      throw new RangeError(`resolution must be a positive number, got ${resolution}`);
    }
    this.resolution = resolution;
    this.valueMax = unitsMax * resolution;
  }

  get count(): number {
    return this.#count;
  }

  /** Number of values that exceeded `valueMax`. */
  get clamped(): number {
    return this.#clamped;
  }

  /** Exact sum of all values. */
  get sum(): number {
    return this.#sum;
  }

  /** Exact mean. NaN if empty, like `min` and `max`. */
  get mean(): number {
    return this.#count === 0 ? Number.NaN : this.#sum / this.#count;
  }

  get min(): number {
    return this.#count === 0 ? Number.NaN : this.#min;
  }

  get max(): number {
    return this.#count === 0 ? Number.NaN : this.#max;
  }

  /** @throws RangeError for a negative value or NaN */
  record(value: number): void {
    if (!(value >= 0)) throw new RangeError(`a histogram counts values from 0 up, got ${value}`);
    // Neighbouring values are often equal, such as the gaps of the tokens of one engine step.
    if (value !== this.#lastValue) {
      this.#lastUnits = Math.round(value / this.resolution);
      this.#lastBucket = bucketOf(Math.min(this.#lastUnits, unitsMax));
      this.#lastValue = value;
    }
    if (this.#lastUnits > unitsMax) this.#clamped++;
    this.#counts[this.#lastBucket]!++;
    this.#count++;
    this.#sum += value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /** The nearest-rank quantile within `relativeErrorMax`, never outside `min` .. `max`; NaN if empty. @param q 0 .. 1 */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile lies in 0 .. 1, got ${q}`);
    if (this.#count === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    let bucket = -1;
    while (seen < rank) seen += this.#counts[++bucket]!;
    return Math.min(this.#max, Math.max(this.#min, middleOf(bucket) * this.resolution));
  }

  /** Adds the counts of `other`. @throws RangeError if the resolutions differ */
  merge(other: LogHistogram): void {
    if (other.resolution !== this.resolution) {
      throw new RangeError(`cannot merge a resolution of ${other.resolution} into one of ${this.resolution}`);
    }
    for (let bucket = 0; bucket < bucketCount; bucket++) this.#counts[bucket]! += other.#counts[bucket]!;
    this.#count += other.#count;
    this.#clamped += other.#clamped;
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }
}

/**
 * With h = `halfBuckets`: octave 0 has the first 2 h buckets, of one unit each; octave k > 0 has the h buckets that
 * start at (k + 1) h.
 */
function bucketOf(units: number): number {
  const shift = Math.max(0, 32 - Math.clz32(units) - significantBits);
  return shift * halfBuckets + (units >>> shift);
}

function middleOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / halfBuckets) - 1);
  const lowest = (bucket - shift * halfBuckets) * 2 ** shift;
  return lowest + (2 ** shift - 1) / 2;
}
