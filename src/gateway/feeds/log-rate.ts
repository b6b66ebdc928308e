// Keeps a log line that a peer can cause at will from filling the disk: one now, then one a while, with a count of the others.

export const logLineMsMin = 10_000;

export class LogRate {
  readonly #nowMs: () => number;
  #nextMs = Number.NEGATIVE_INFINITY;
  #held = 0;

  /** @param nowMs a clock that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @returns null: not now; else how many lines were held back since the last one */
  admit(): number | null {
    const nowMs = this.#nowMs();
    if (nowMs < this.#nextMs) {
      this.#held += 1;
      return null;
    }
    const held = this.#held;
    this.#held = 0;
    this.#nextMs = nowMs + logLineMsMin;
    return held;
  }
}
