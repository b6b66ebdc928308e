// Work that comes in bursts, done in slices of a few milliseconds, one a turn of the event loop; between two, sockets are served.

export interface TurnSlicesOptions {
  /** Asked at each turn: true lets it pass without a slice. Default: never. */
  readonly hold?: () => boolean;
  /** Every other piece is the newest, so that one that comes behind a thousand does not wait for them all. */
  readonly bothEnds?: boolean;
}

export class TurnSlices {
  readonly #sliceMsMax: number;
  readonly #nowMs: () => number;
  readonly #hold: () => boolean;
  readonly #bothEnds: boolean;
  #newestNext = false;
  /** In order of arrival; those before `#next` have had their turn. */
  readonly #waiting: (() => void)[] = [];
  #next = 0;
  /** A turn is scheduled. */
  #open = false;

  /**
   * @param sliceMsMax a slice ends with the first piece of work that takes it beyond
   * @param nowMs a clock that never goes back
   */
  constructor(sliceMsMax: number, nowMs: () => number, options: TurnSlicesOptions = {}) {
    this.#sliceMsMax = sliceMsMax;
    this.#nowMs = nowMs;
    this.#hold = options.hold ?? (() => false);
    this.#bothEnds = options.bothEnds ?? false;
  }

  /** Nothing has come in this turn. */
  get idle(): boolean {
    return !this.#open;
  }

  /** Does the work at once if nothing else has come in this turn; otherwise when it is its turn. */
  run(work: () => void): void {
    if (this.#open) {
      this.#waiting.push(work);
      return;
    }
    this.#open = true;
    setImmediate(() => this.#turn());
    work();
  }

  /** As `run`. @returns null: go on at once; otherwise resolves when it is its turn */
  take(): Promise<void> | null {
    if (this.#open) return new Promise((resolve) => this.run(resolve));
    this.run(() => undefined);
    return null;
  }

  #turn(): void {
    if (this.#next * 2 >= this.#waiting.length) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    if (this.#waiting.length === 0) this.#open = false;
    else if (this.#hold()) setImmediate(() => this.#turn());
    else this.#slice(this.#nowMs() + this.#sliceMsMax);
  }

  #pick(): () => void {
    this.#newestNext = this.#bothEnds && !this.#newestNext;
    return this.#newestNext ? this.#waiting.pop()! : this.#waiting[this.#next++]!;
  }

  #slice(endMs: number): void {
    this.#pick()();
    // A tick that is asked for among the promises comes when the work has done all that it can do at once.
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.#next < this.#waiting.length && this.#nowMs() < endMs) this.#slice(endMs);
        else setImmediate(() => this.#turn());
      }),
    );
  }
}
