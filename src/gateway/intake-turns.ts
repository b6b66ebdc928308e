// Takes requests in a few at a time, so that a thousand of them at once don't keep everything else waiting.

/** Requests that are read and routed in one turn of the event loop. */
const perTurnMax = 16;

export class IntakeTurns {
  /** In order of arrival. */
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  #turns = false;

  /** @returns null: go on at once; otherwise when it is the request's turn */
  take(): Promise<void> | null {
    if (!this.#turns) {
      this.#turns = true;
      setImmediate(() => this.#turn());
    }
    if (this.#taken < perTurnMax) {
      this.#taken += 1;
      return null;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Between two turns, sockets are read and written. */
  #turn(): void {
    const released = this.#waiting.splice(0, perTurnMax);
    this.#taken = released.length;
    this.#turns = released.length > 0;
    if (this.#turns) setImmediate(() => this.#turn());
    for (const release of released) release();
  }
}
