// How often a replica may tell what it has booked: at once after a calm, a few milliseconds apart in a burst, and
// gathered under lasting load, where each message costs every replica system calls and a late one matters least. A prompt
// that may be new to all workers waits for no gap: until the others have heard of it, each of them computes it again.

/** Least time between two messages. */
export const gapMsMin = 4;
/** Messages that may follow each other so closely after a calm: a burst of 200 ms. */
export const closeMessagesMax = 50;
/**
 * Under lasting load. On average a change waits for half of that time. Routers whose messages are all 50 ms late lose
 * nothing (docs/cluster.md), and what a message costs its readers does not depend much on how much it tells.
 */
export const lastingGapMs = 50;

/** A bucket of `closeMessagesMax` messages that gains one each `lastingGapMs`. Every call is O(1). */
export class MessagePace {
  #room = closeMessagesMax;
  #sentMs = Number.NEGATIVE_INFINITY;

  /** How long the next message must wait. 0: not at all. @param urgent waits only for room in the bucket */
  waitMs(nowMs: number, urgent = false): number {
    const forRoomMs = (1 - this.#roomAt(nowMs)) * lastingGapMs;
    return Math.max(0, urgent ? 0 : this.#sentMs + gapMsMin - nowMs, forRoomMs);
  }

  sent(nowMs: number): void {
    this.#room = Math.max(0, this.#roomAt(nowMs) - 1);
    this.#sentMs = nowMs;
  }

  #roomAt(nowMs: number): number {
    // Before the first message the bucket is full.
    return Math.min(closeMessagesMax, this.#room + Math.max(0, nowMs - this.#sentMs) / lastingGapMs);
  }
}
