// Collects bytes that come in pieces of any size: one buffer that doubles, so that a piece of one byte costs one byte.

const capacityMin = 256;
/** A larger buffer is given back when the collector is emptied. */
const keptBytesMax = 64 * 1024;

/** The account that a buffer's memory goes to. */
export interface MemoryHold {
  /** Before the memory is taken. @throws if there is no room for it */
  take(bytes: number): void;
  give(bytes: number): void;
}

export class ByteCollector {
  readonly #hold: MemoryHold | null;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  /** @param hold null: nobody counts the memory */
  constructor(hold: MemoryHold | null = null) {
    this.#hold = hold;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies the bytes. Amortised O(bytes). @throws what the hold throws; nothing has changed then */
  append(bytes: Buffer): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const capacity = Math.max(capacityMin, 2 * this.#bytes.length, length);
      this.#hold?.take(capacity);
      const grown = Buffer.allocUnsafe(capacity);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#drop();
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** What was collected, to be read before the next call. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was collected; the collector is empty afterwards and keeps nothing of it. */
  take(): Buffer {
    const taken = this.view();
    this.#drop();
    this.#length = 0;
    return taken;
  }

  /** Empties it, and keeps a small buffer for the next bytes. */
  clear(): void {
    if (this.#bytes.length > keptBytesMax) this.#drop();
    this.#length = 0;
  }

  #drop(): void {
    if (this.#bytes.length === 0) return;
    this.#hold?.give(this.#bytes.length);
    this.#bytes = Buffer.alloc(0);
  }
}
