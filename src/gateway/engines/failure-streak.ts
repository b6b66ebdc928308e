// Failures of an engine in a row: how many put it out of use, and for how long.

/** This many failures without a whole answer in between put the engine out. */
const failuresMax = 5;
const restMsMin = 1000;
const restMsMax = 30_000;

export class FailureStreak {
  #failures = 0;
  /** Times in a row that it was put out, without a whole answer in between. */
  #trips = 0;

  /**
   * After it was put out, one failure before its first whole answer puts it out again.
   * @param onTrial it has just come back
   * @returns whether this failure puts it out
   */
  failed(onTrial: boolean): boolean {
    this.#failures += 1;
    if (this.#failures < failuresMax && !onTrial && this.#trips === 0) return false;
    this.trip();
    return true;
  }

  /** Counts it as put out. */
  trip(): void {
    this.#failures = 0;
    this.#trips += 1;
  }

  /** A request got a whole answer. */
  worked(): void {
    this.#failures = 0;
    this.#trips = 0;
  }

  /** Rest after the latest trip; doubles with each. */
  get restMs(): number {
    return this.#trips === 0 ? 0 : Math.min(restMsMax, restMsMin * 2 ** (this.#trips - 1));
  }
}
