// Limits for all KV-event feeds of a gateway together: time per turn of the event loop, and concurrent replays.
// TurnSlices does not fit: it starts many short tasks, which it can't interrupt. A batch is one long task that pauses
// between its events, and each feed's batches must stay in order.

/**
 * After this time requests and streams are served. Two turns can run back to back, and the last piece of work may
 * overrun, so feeds hold the event loop for up to 5 ms.
 */
export const turnMsMax = 2;
const replaysMax = 8;

export class IntakeBudget {
  readonly #nowMs: () => number;
  /** A turn is in progress; its end is scheduled. */
  #open = false;
  #turnEndsMs = 0;
  readonly #waiting: (() => void)[] = [];
  #replays = 0;
  readonly #replaysWaiting: (() => void)[] = [];

  /** @param nowMs monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether the feeds have used up this turn. Check between small pieces of work. */
  get spent(): boolean {
    const nowMs = this.#nowMs();
    if (this.#open) return nowMs >= this.#turnEndsMs;
    this.#begin();
    return false;
  }

  /** Resolves in a later turn, first come first served. */
  nextTurn(): Promise<void> {
    if (!this.#open) this.#begin();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Waits for a replay slot. @returns frees the slot; call it once */
  async replaySlot(): Promise<() => void> {
    if (this.#replays >= replaysMax) await new Promise<void>((resolve) => this.#replaysWaiting.push(resolve));
    else this.#replays += 1;
    return () => {
      const next = this.#replaysWaiting.shift();
      if (next === undefined) this.#replays -= 1;
      else next();
    };
  }

  #begin(): void {
    this.#open = true;
    this.#turnEndsMs = this.#nowMs() + turnMsMax;
    setImmediate(() => this.#end());
  }

  /** Sockets have been served since the turn began, so one waiting feed resumes. */
  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#open = false;
      return;
    }
    this.#begin();
    next();
  }
}
