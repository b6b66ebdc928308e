// Limit on the bytes of KV-event messages that are received and not yet applied, over all sockets of a gateway.

/**
 * Per connection. Above it the socket is not read, so TCP holds back the publisher, which drops what it can't queue.
 */
export const connectionBytesMax: number = 1024 * 1024;
/** For all connections together. Above it none is read until some messages have been applied. */
export const waitingBytesMax: number = 128 * 1024 * 1024;

export class WaitingBytes {
  readonly #max: number;
  #held = 0;
  readonly #paused = new Set<() => void>();

  constructor(max: number = waitingBytesMax) {
    this.#max = max;
  }

  get held(): number {
    return this.#held;
  }

  get isFull(): boolean {
    return this.#held >= this.#max;
  }

  /** @param bytes by which a connection's share grows; negative: shrinks */
  change(bytes: number): void {
    this.#held += bytes;
    if (this.isFull || this.#paused.size === 0) return;
    const resumed = [...this.#paused];
    this.#paused.clear();
    for (const resume of resumed) resume();
  }

  /** Calls `resume` once, when the total is below the limit again. */
  whenRoom(resume: () => void): void {
    this.#paused.add(resume);
  }

  forget(resume: () => void): void {
    this.#paused.delete(resume);
  }
}
