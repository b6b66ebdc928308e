// Writes unsigned integers, texts and hashes into a growing buffer.

const encoder = new TextEncoder();
/** Longest text whose length takes one byte. */
const plainTextMax = 127;

/** One buffer, used again for every message; `take` copies what was written. */
export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
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
    if (value.length > plainTextMax || !this.#plain(value)) {
      const bytes = encoder.encode(value);
      this.integer(bytes.length);
      this.raw(bytes);
    }
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Two words a hash, little-endian. */
  hashes(words: Uint32Array, count: number): void {
    this.integer(count);
    this.#reserve(8 * count);
    for (let i = 0; i < 2 * count; i++) this.#view.setUint32(this.#length + 4 * i, words[i]!, true);
    this.#length += 8 * count;
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** A short text of ASCII, without a copy. @returns false: it is not, and nothing was written */
  #plain(value: string): boolean {
    this.#reserve(1 + value.length);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#bytes[this.#length + 1 + i] = code;
    }
    this.#bytes[this.#length] = value.length;
    this.#length += 1 + value.length;
    return true;
  }
}
