// Times to first token and prefill of the last hour by the minute, to compare with what another policy would have done.

const minutes = 60;
const growth = 1.1;
const bucketCount = 144;
const firstMs = 0.5;
/** Workers whose prefill is counted. */
const workersMax = 1024;

/** 83 KB, and 480 bytes per worker. */
export class HourFigures {
  readonly #counts = new Uint32Array(minutes * bucketCount);
  readonly #sumsMs = new Float64Array(minutes);
  readonly #prefill = new Map<string, Float64Array>();
  #minute = 0;

  firstToken(ms: number): void {
    const bucket = Math.floor(Math.log(Math.max(firstMs, ms) / firstMs) / Math.log(growth));
    this.#counts[this.#minute * bucketCount + Math.min(bucketCount - 1, bucket)]! += 1;
    this.#sumsMs[this.#minute]! += ms;
  }

  prefill(worker: string, tokens: number): void {
    let column = this.#prefill.get(worker);
    if (column === undefined) {
      if (this.#prefill.size >= workersMax) return;
      column = new Float64Array(minutes);
      this.#prefill.set(worker, column);
    }
    column[this.#minute]! += tokens;
  }

  /** Once a minute. */
  nextMinute(): void {
    this.#minute = (this.#minute + 1) % minutes;
    this.#counts.fill(0, this.#minute * bucketCount, (this.#minute + 1) * bucketCount);
    this.#sumsMs[this.#minute] = 0;
    for (const [worker, column] of this.#prefill) {
      column[this.#minute] = 0;
      if (column.every((tokens) => tokens === 0)) this.#prefill.delete(worker);
    }
  }

  /** Of the last `last` minutes, the present one included. Null: no first token. */
  ttft(last: number): { requests: number; meanMs: number | null; quantileMs: (q: number) => number | null } {
    const counts = new Float64Array(bucketCount);
    let sumMs = 0;
    let requests = 0;
    for (const minute of this.#latest(last)) {
      sumMs += this.#sumsMs[minute]!;
      for (let bucket = 0; bucket < bucketCount; bucket++) {
        const own = this.#counts[minute * bucketCount + bucket]!;
        counts[bucket]! += own;
        requests += own;
      }
    }
    const quantileMs = (q: number): number | null => {
      if (requests === 0) return null;
      let seen = 0;
      let bucket = -1;
      while (seen < Math.max(1, Math.ceil(q * requests))) seen += counts[++bucket]!;
      return firstMs * growth ** (bucket + 0.5);
    };
    return { requests, meanMs: requests === 0 ? null : sumMs / requests, quantileMs };
  }

  /** Prefill of the busiest worker over the mean. Null: none. @param workers of the fleet */
  imbalance(last: number, workers: number): number | null {
    let most = 0;
    let all = 0;
    for (const column of this.#prefill.values()) {
      let own = 0;
      for (const minute of this.#latest(last)) own += column[minute]!;
      most = Math.max(most, own);
      all += own;
    }
    return all === 0 ? null : (most * Math.max(1, workers)) / all;
  }

  *#latest(last: number): Generator<number> {
    for (let back = 0; back < Math.min(last, minutes); back++) yield (this.#minute - back + minutes) % minutes;
  }
}
