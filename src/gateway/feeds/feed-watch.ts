// Timers for events without a message: an absent publisher, and a possible loss of the latest batches.

/** A feed quiet for this long is asked for lost latest batches; the pause doubles while there are none. */
const tailCheckMs = 2000;
const tailCheckMsMax = 30_000;
/** Checks in a row that found batches only by replay; then the connection is taken for dead. */
const stallsMax = 2;

export class FeedWatch {
  readonly #deadMs: number;
  #absentSinceMs: number | null;
  #isDead = false;
  #batches = -1;
  #tailDueMs = 0;
  #tailPauseMs = tailCheckMs;
  #stalls = 0;

  /** @param deadMs time without a publisher after which the feed is given up */
  constructor(deadMs: number, nowMs: number) {
    this.#deadMs = deadMs;
    this.#absentSinceMs = nowMs;
  }

  /** Whether the feed has been given up. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** Call while no publisher is connected. @returns true once, when the feed is to be given up */
  absent(nowMs: number): boolean {
    this.#absentSinceMs ??= nowMs;
    if (this.#isDead || nowMs - this.#absentSinceMs < this.#deadMs) return false;
    this.#isDead = true;
    return true;
  }

  /** Call when a publisher has connected. @returns whether the feed had been given up */
  connected(): boolean {
    const wasDead = this.#isDead;
    this.#absentSinceMs = null;
    this.#isDead = false;
    return wasDead;
  }

  /**
   * The loss of a feed's latest batches shows only with its next batch. That may come late, or never, on a connection
   * that the publisher has forgotten.
   * @param batches received so far @returns whether to ask for more now
   */
  isTailDue(batches: number, nowMs: number): boolean {
    if (batches !== this.#batches) {
      this.#batches = batches;
      this.#tailPauseMs = tailCheckMs;
      this.#tailDueMs = nowMs + tailCheckMs;
      return false;
    }
    if (nowMs < this.#tailDueMs) return false;
    this.#tailPauseMs = Math.min(2 * this.#tailPauseMs, tailCheckMsMax);
    this.#tailDueMs = nowMs + this.#tailPauseMs;
    return true;
  }

  /** Call when a batch has arrived on the connection. */
  heard(): void {
    this.#stalls = 0;
  }

  /** Call when a check found batches that the connection had not delivered. @returns whether to reconnect */
  isStalled(): boolean {
    this.#stalls += 1;
    if (this.#stalls < stallsMax) return false;
    this.#stalls = 0;
    return true;
  }
}
