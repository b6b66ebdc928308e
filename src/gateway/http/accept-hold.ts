// Holds other work back while connections wait to be accepted, so that those behind them get in.

/**
 * Then a slice of the work is done, whether or not connections still wait. Node takes one connection off the backlog a
 * turn of the event loop: what else is done in the turn is what all those behind it wait for.
 */
const holdMsMax = 10;

export class AcceptHold {
  readonly #nowMs: () => number;
  #accepted = 0;

  /** @param nowMs a clock that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A connection was accepted. */
  accepted(): void {
    this.#accepted += 1;
  }

  /**
   * For one kind of work, which asks in each turn.
   * @returns whether to let this turn pass: one has been accepted since the turn before
   */
  asker(): () => boolean {
    let seen = 0;
    let endsMs: number | null = null;
    return () => {
      const more = this.#accepted !== seen;
      seen = this.#accepted;
      endsMs ??= this.#nowMs() + holdMsMax;
      if (more && this.#nowMs() < endsMs) return true;
      endsMs = null;
      return false;
    };
  }
}
