// Writer of canonical CBOR (RFC 8949), for the few types that block hashes need.

const uintType = 0x00;
const bytesType = 0x40;
const textType = 0x60;
const arrayType = 0x80;
const nullItem = 0xf6;

export class CborWriter {
  #bytes: Buffer = Buffer.allocUnsafe(256);
  #length = 0;

  /** The bytes written since the last call. Valid until the next write. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  nil(): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = nullItem;
  }

  uint(value: number): void {
    this.#head(uintType, value);
  }

  array(length: number): void {
    this.#head(arrayType, length);
  }

  bytes(value: Uint8Array): void {
    this.#head(bytesType, value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.#head(textType, length);
    this.#reserve(length);
    this.#length += this.#bytes.write(value, this.#length);
  }

  /** Writes a major type and the shortest form of a number up to 2^32 - 1. */
  #head(type: number, value: number): void {
    this.#reserve(5);
    if (value < 24) {
      this.#bytes[this.#length++] = type | value;
    } else if (value < 0x100) {
      this.#bytes[this.#length++] = type | 24;
      this.#bytes[this.#length++] = value;
    } else if (value < 0x10000) {
      this.#bytes[this.#length++] = type | 25;
      this.#length = this.#bytes.writeUInt16BE(value, this.#length);
    } else {
      this.#bytes[this.#length++] = type | 26;
      this.#length = this.#bytes.writeUInt32BE(value, this.#length);
    }
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
