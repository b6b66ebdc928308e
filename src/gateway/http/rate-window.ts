// Amounts of the last 60 s, estimated from the counts of two neighbouring minutes.

export const minuteMs = 60_000;
/** A wait that is shorter is none: rounding would refuse whoever comes back in the moment that it was told. */
const shortestWaitMs = 0.001;

export class RateWindow {
  #minute = 0;
  #before = 0;
  #count = 0;

  add(amount: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#count += amount;
  }

  /** Amount of the last 60 s: the previous minute counts as spread evenly. */
  used(nowMs: number): number {
    this.#turn(nowMs);
    return this.#count + this.#before * (1 - (nowMs % minuteMs) / minuteMs);
  }

  /**
   * Milliseconds until `amount` fits under `max`; 0 if it fits now. It must not exceed `max`.
   * @param held used besides, for an unknown time
   */
  waitMs(amount: number, held: number, max: number, nowMs: number): number {
    this.#turn(nowMs);
    const passedMs = nowMs % minuteMs;
    const room = max - amount - held - this.#count;
    if (room < 0) {
      // Not before the next minute, and then only once enough of this minute's amounts are 60 s old.
      const old = this.#count === 0 ? 0 : 1 - (max - amount - held) / this.#count;
      return minuteMs - passedMs + minuteMs * Math.min(1, Math.max(0, old));
    }
    if (this.#before <= room) return 0;
    const waitMs = minuteMs * (1 - room / this.#before) - passedMs;
    return waitMs < shortestWaitMs ? 0 : waitMs;
  }

  /** Milliseconds until nothing counts any more. */
  emptyMs(nowMs: number): number {
    this.#turn(nowMs);
    const leftMs = minuteMs - (nowMs % minuteMs);
    if (this.#count > 0) return leftMs + minuteMs;
    return this.#before > 0 ? leftMs : 0;
  }

  #turn(nowMs: number): void {
    const minute = Math.floor(nowMs / minuteMs);
    if (minute === this.#minute) return;
    this.#before = minute === this.#minute + 1 ? this.#count : 0;
    this.#count = 0;
    this.#minute = minute;
  }
}
