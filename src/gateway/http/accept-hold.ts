// Delays other work while connections arrive, so that those in the backlog are accepted first.

/**
 * Longest delay. Node accepts one connection per turn of the event loop, so any other work in that turn delays all the
 * connections behind it.
 */
const holdMsMax = 10;

export class AcceptHold {
  readonly #nowMs: () => number;
  #accepted = 0;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  accepted(): void {
    this.#accepted += 1;
  }

  /**
   * Makes a check for one kind of work, to be called once per turn.
   * @returns true if the work should skip this turn because a connection was accepted since the last one
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
