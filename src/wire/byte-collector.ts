// Collects bytes that come in pieces of any size: one buffer that doubles, so that a piece of one byte costs one byte.

const capacityMin = 256;
/** A larger buffer is given back when the collector is emptied. */
const keptBytesMax = 64 * 1024;

export class ByteCollector {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies the bytes. Amortised O(bytes) */
  append(bytes: Buffer): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(capacityMin, 2 * this.#bytes.length, length));
      this.#bytes.copy(grown, 0, 0, this.#length);
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
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }

  /** Empties it, and keeps a small buffer for the next bytes. */
  clear(): void {
    if (this.#bytes.length > keptBytesMax) this.#bytes = Buffer.alloc(0);
    this.#length = 0;
  }
}
