// Writes unsigned integers, texts and hashes into a growing buffer.

const encoder = new TextEncoder();

/** One buffer, used again for every message; `take` copies what was written. */
export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Forgets everything after `length`. */
  cut(length: number): void {
    this.#length = length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** An integer of 0 .. 2^53 - 1: seven bits a byte, the lowest first. */
  integer(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  text(value: string): void {
    const bytes = encoder.encode(value);
    this.integer(bytes.length);
    this.raw(bytes);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Two words a hash, little-endian. */
  hashes(words: Uint32Array): void {
    this.integer(words.length >>> 1);
    this.#reserve(4 * words.length);
    const view = new DataView(this.#bytes.buffer);
    for (let i = 0; i < words.length; i++) view.setUint32(this.#length + 4 * i, words[i]!, true);
    this.#length += 4 * words.length;
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
