// Messages from other replicas, read as they come, and at most for a slice of each turn of the event loop.
//
// What is beyond the slice waits, bounded in messages and bytes; what is beyond that is dropped and counted. The next
// gauge of its sender makes up for it.

export const waitingMessagesMax = 8192;
export const waitingMessageBytesMax = 16_777_216;
const turnMsMax = 4;

interface Waiting<T> {
  readonly item: T;
  readonly bytes: number;
}

export class InboundQueue<T> {
  readonly #take: (item: T) => void;
  readonly #nowMs: () => number;
  #waiting: Waiting<T>[] = [];
  #at = 0;
  #waitingBytes = 0;
  #isOpen = false;
  #turnEndsMs = 0;
  #dropped = 0;

  /** @param take must not throw @param nowMs monotonic clock */
  constructor(take: (item: T) => void, nowMs: () => number) {
    this.#take = take;
    this.#nowMs = nowMs;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#waiting.length - this.#at;
  }

  push(item: T, bytes: number): void {
    if (!this.#isOpen) this.#beginTurn();
    if (this.waiting === 0 && this.#nowMs() < this.#turnEndsMs) {
      this.#take(item);
      return;
    }
    if (this.waiting >= waitingMessagesMax || this.#waitingBytes + bytes > waitingMessageBytesMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push({ item, bytes });
    this.#waitingBytes += bytes;
  }

  /** Drops what waits, without counting it. */
  clear(): void {
    this.#waiting = [];
    this.#at = 0;
    this.#waitingBytes = 0;
  }

  #beginTurn(): void {
    this.#isOpen = true;
    this.#turnEndsMs = this.#nowMs() + turnMsMax;
    setImmediate(() => {
      this.#isOpen = false;
      this.#drain();
    });
  }

  #drain(): void {
    if (this.waiting === 0) return;
    this.#beginTurn();
    while (this.waiting > 0 && this.#nowMs() < this.#turnEndsMs) {
      const { item, bytes } = this.#waiting[this.#at]!;
      this.#at += 1;
      this.#waitingBytes -= bytes;
      this.#take(item);
    }
    if (this.waiting === 0) this.clear();
    else if (this.#at > waitingMessagesMax) {
      this.#waiting = this.#waiting.slice(this.#at);
      this.#at = 0;
    }
  }
}
