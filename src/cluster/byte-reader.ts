// Reads what ByteWriter wrote. The bytes are a stranger's: nothing is allocated beyond their own length.

/** Thrown by the reader alone, and caught where a message is decoded. */
export class Unreadable extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true });

export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  get at(): number {
    return this.#at;
  }

  byte(): number {
    if (this.#at >= this.#bytes.length) throw new Unreadable('cut short');
    return this.#bytes[this.#at++]!;
  }

  integer(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER) break;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    throw new Unreadable('an integer is too large');
  }

  /** A number of items that take at least `itemBytes` each. */
  count(max: number, itemBytes: number): number {
    const count = this.integer();
    if (count > max || count * itemBytes > this.#bytes.length - this.#at) throw new Unreadable('too many items');
    return count;
  }

  text(bytesMax: number): string {
    const bytes = this.raw(this.count(bytesMax, 1));
    try {
      return decoder.decode(bytes);
    } catch {
      throw new Unreadable('a name is not UTF-8');
    }
  }

  raw(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new Unreadable('cut short');
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  /** A copy, aligned. */
  hashes(countMax: number): Uint32Array {
    const count = this.count(countMax, 8);
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, 8 * count);
    const words = new Uint32Array(2 * count);
    for (let i = 0; i < words.length; i++) words[i] = view.getUint32(4 * i, true);
    this.#at += 8 * count;
    return words;
  }
}
