// Failures of an engine in a row: how many put it out, and for how long before it is tried again.

/** One more failure without an answer in between puts the engine out. */
const failuresMax = 5;
const restMsMin = 1000;
const restMsMax = 30_000;

export class FailureStreak {
  #failures = 0;
  /** Times in a row that it was put out, or failed on trial. */
  #trips = 0;

  /**
   * An engine that was put out has to give a whole answer before it may fail again.
   * @param onTrial it has only just come back
   * @returns whether this puts it out
   */
  failed(onTrial: boolean): boolean {
    this.#failures += 1;
    if (this.#failures < failuresMax && !onTrial && this.#trips === 0) return false;
    this.trip();
    return true;
  }

  /** It is put out for another reason. */
  trip(): void {
    this.#failures = 0;
    this.#trips += 1;
  }

  /** It has given a whole answer. */
  worked(): void {
    this.#failures = 0;
    this.#trips = 0;
  }

  /** How long it rests after the newest trip: twice as long each time. */
  get restMs(): number {
    return this.#trips === 0 ? 0 : Math.min(restMsMax, restMsMin * 2 ** (this.#trips - 1));
  }
}
