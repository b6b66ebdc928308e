// Time series of every worker's load, with a sampling interval that grows with the length of the run.

/** Columns of equal length: `unfinished[w][i]` and `kvUsage[w][i]` are the values at `timesS[i]`. */
export interface LoadSeriesData {
  readonly timesS: readonly number[];
  /** Waiting and running requests of each engine. */
  readonly unfinished: readonly (readonly number[])[];
  /** Share of KV blocks in use of each engine. */
  readonly kvUsage: readonly (readonly number[])[];
}

export interface LoadReading {
  readonly unfinished: number;
  readonly kvUsage: number;
}

export class LoadSeries {
  /** When full, every second sample is dropped and the interval doubled. */
  static readonly samplesMax = 240;

  #gapNs = 1e8;
  #nextNs = 0;
  #timesNs: number[] = [];
  readonly #unfinished: number[][];
  readonly #kvUsage: number[][];

  constructor(workers: number) {
    this.#unfinished = Array.from({ length: workers }, () => []);
    this.#kvUsage = Array.from({ length: workers }, () => []);
  }

  /** Time of the next sample. */
  get nextNs(): number {
    return this.#nextNs;
  }

  /** Takes all samples due before `nowNs`. The load must not have changed since the last call. */
  sampleTo(nowNs: number, read: (worker: number) => LoadReading): void {
    const readings = this.#unfinished.map((_, worker) => read(worker));
    for (; this.#nextNs < nowNs; this.#nextNs += this.#gapNs) {
      this.#timesNs.push(this.#nextNs);
      for (const [worker, { unfinished, kvUsage }] of readings.entries()) {
        this.#unfinished[worker]!.push(unfinished);
        this.#kvUsage[worker]!.push(Math.round(kvUsage * 1e4) / 1e4);
      }
      if (this.#timesNs.length === LoadSeries.samplesMax) this.#thin();
    }
  }

  data(): LoadSeriesData {
    return { timesS: this.#timesNs.map((ns) => ns / 1e9), unfinished: this.#unfinished, kvUsage: this.#kvUsage };
  }

  #thin(): void {
    const keepsEven = (_: number, index: number): boolean => index % 2 === 0;
    this.#timesNs = this.#timesNs.filter(keepsEven);
    for (const columns of [this.#unfinished, this.#kvUsage]) {
      for (let worker = 0; worker < columns.length; worker++) columns[worker] = columns[worker]!.filter(keepsEven);
    }
    this.#gapNs *= 2;
    this.#nextNs = this.#timesNs.length * this.#gapNs - this.#gapNs;
  }
}
