// Runs bursts of work in slices of a few milliseconds, one per turn of the event loop, so that sockets are served in
// between.

export interface TurnSlicesOptions {
  /** Asked at each turn; true skips it. Default: never. */
  readonly hold?: () => boolean;
  /** Takes the newest piece every other time, so that it need not wait for a thousand older ones. */
  readonly bothEnds?: boolean;
}

export class TurnSlices {
  readonly #sliceMsMax: number;
  readonly #nowMs: () => number;
  readonly #hold: () => boolean;
  readonly #bothEnds: boolean;
  #newestNext = false;
  /** In order of arrival; those before `#next` are done. */
  readonly #waiting: (() => void)[] = [];
  #next = 0;
  /** A turn is scheduled. */
  #open = false;

  /** @param sliceMsMax a slice ends after the piece of work that exceeds it @param nowMs a monotonic clock */
  constructor(sliceMsMax: number, nowMs: () => number, options: TurnSlicesOptions = {}) {
    this.#sliceMsMax = sliceMsMax;
    this.#nowMs = nowMs;
    this.#hold = options.hold ?? (() => false);
    this.#bothEnds = options.bothEnds ?? false;
  }

  /** No work has come in this turn. */
  get idle(): boolean {
    return !this.#open;
  }

  /** Runs the work at once if it is the first of this turn, otherwise in a later turn. */
  run(work: () => void): void {
    if (this.#open) {
      this.#waiting.push(work);
      return;
    }
    this.#open = true;
    setImmediate(() => this.#turn());
    work();
  }

  /** Like `run`, for async callers. @returns null to go on at once, otherwise a promise to wait for */
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
    // `nextTick` inside a microtask runs after all microtasks that the work has queued.
    queueMicrotask(() =>
      process.nextTick(() => {
        if (this.#next < this.#waiting.length && this.#nowMs() < endMs) this.#slice(endMs);
        else setImmediate(() => this.#turn());
      }),
    );
  }
}
