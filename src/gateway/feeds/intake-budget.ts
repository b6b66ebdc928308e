// What all KV-event feeds of a gateway may take together: time in each turn of the event loop, and replays at one time.

/**
 * Then requests and their streams get their turn. Two turns may follow one another before timers and sockets are
 * served, and the last piece of work runs over: so the event loop is held for less than 5 ms.
 */
export const turnMsMax = 2;
const replaysMax = 8;

export class IntakeBudget {
  readonly #nowMs: () => number;
  /** A turn is open: its end is scheduled. */
  #open = false;
  #turnEndsMs = 0;
  readonly #waiting: (() => void)[] = [];
  #replays = 0;
  readonly #replaysWaiting: (() => void)[] = [];

  /** @param nowMs a clock that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether the feeds have had their time in this turn; to be asked between two small pieces of work. */
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

  /** Waits for leave to replay. @returns to be called once at its end */
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

  /** Sockets have been served since the turn began; one feed that waits goes on. */
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
