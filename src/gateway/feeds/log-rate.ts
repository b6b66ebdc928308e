// Rate limit for a log line that a peer can trigger at will: one per interval, with a count of those suppressed.

export const logLineMsMin = 10_000;

export class LogRate {
  readonly #nowMs: () => number;
  #nextMs = Number.NEGATIVE_INFINITY;
  #held = 0;

  /** @param nowMs monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @returns null to suppress this line, otherwise how many were suppressed since the last one */
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
