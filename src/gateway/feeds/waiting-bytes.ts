// What all KV-event sockets of a gateway hold of messages that are not applied yet: a limit on their sum.

/** Of one connection: beyond it the socket is not read, so that TCP holds the publisher back, which drops what it can't keep. */
export const connectionBytesMax: number = 1024 * 1024;
/** Of all connections together: beyond it none is read until some of it has been applied. */
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

  /** A connection holds so much more, or less. */
  change(bytes: number): void {
    this.#held += bytes;
    if (this.isFull || this.#paused.size === 0) return;
    const resumed = [...this.#paused];
    this.#paused.clear();
    for (const resume of resumed) resume();
  }

  /** Calls back once, when there is room again. */
  whenRoom(resume: () => void): void {
    this.#paused.add(resume);
  }

  forget(resume: () => void): void {
    this.#paused.delete(resume);
  }
}
