// What no message shows, told by time: that a publisher has been away for long, and when to ask for lost last batches.

/** A feed quiet for so long is asked whether its last batches were lost; ever more rarely while none was. */
const tailCheckMs = 2000;
const tailCheckMsMax = 30_000;
/** So often in a row batches came by replay alone: the connection carries none. */
const stallsMax = 2;

export class FeedWatch {
  readonly #deadMs: number;
  #absentSinceMs: number | null;
  #isDead = false;
  #batches = -1;
  #tailDueMs = 0;
  #tailPauseMs = tailCheckMs;
  #stalls = 0;

  /** @param deadMs without a publisher for so long its events are given up */
  constructor(deadMs: number, nowMs: number) {
    this.#deadMs = deadMs;
    this.#absentSinceMs = nowMs;
  }

  /** Its events have been given up. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** There is no publisher now. @returns true in the step in which its events are to be given up */
  absent(nowMs: number): boolean {
    this.#absentSinceMs ??= nowMs;
    if (this.#isDead || nowMs - this.#absentSinceMs < this.#deadMs) return false;
    this.#isDead = true;
    return true;
  }

  /** A publisher has connected. @returns whether its events had been given up */
  connected(): boolean {
    const wasDead = this.#isDead;
    this.#absentSinceMs = null;
    this.#isDead = false;
    return wasDead;
  }

  /**
   * The loss of a feed's last batches shows only with its next one, and that may be long in coming; or never, on a
   * connection that its publisher has forgotten.
   * @param batches taken so far @returns whether it is time to ask for more
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

  /** A batch has come on the connection. */
  heard(): void {
    this.#stalls = 0;
  }

  /** Asking has brought batches that the connection had not. @returns whether that connection is to be made anew */
  isStalled(): boolean {
    this.#stalls += 1;
    if (this.#stalls < stallsMax) return false;
    this.#stalls = 0;
    return true;
  }
}
