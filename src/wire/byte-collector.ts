// Collects bytes that arrive in chunks of any size, in one buffer that doubles.

const capacityMin = 256;
/** A larger buffer is freed when the collector is cleared. */
const keptBytesMax = 64 * 1024;
const noBytes = Buffer.alloc(0);

/** Counts the memory of buffers against a limit. */
export interface MemoryHold {
  /** Called before the memory is allocated. @throws if it exceeds the limit */
  take(bytes: number): void;
  give(bytes: number): void;
}

export class ByteCollector {
  readonly #hold: MemoryHold | null;
  #bytes: Buffer = noBytes;
  #length = 0;

  /** @param hold counts the memory; null if it is not counted */
  constructor(hold: MemoryHold | null = null) {
    this.#hold = hold;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies the bytes. Amortized O(bytes). @throws what the hold throws, with nothing changed */
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

  /** The collected bytes, valid until the next call. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The collected bytes. The collector is empty afterwards and keeps no reference. */
  take(): Buffer {
    const taken = this.view();
    this.#drop();
    this.#length = 0;
    return taken;
  }

  /** Empties the collector, keeping a small buffer for reuse. */
  clear(): void {
    if (this.#bytes.length > keptBytesMax) this.#drop();
    this.#length = 0;
  }

  #drop(): void {
    if (this.#bytes.length === 0) return;
    this.#hold?.give(this.#bytes.length);
    this.#bytes = noBytes;
  }
}
