// Writes MessagePack with the shortest form of every integer; libraries choose signed forms that engines never send.

export class MessagePackWriter {
  #bytes: Buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  /** The bytes written so far; the writer can't be used afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  nil(): void {
    this.#byte(0xc0);
  }

  float64(value: number): void {
    const at = this.#take(9);
    this.#bytes[at] = 0xcb;
    this.#bytes.writeDoubleBE(value, at + 1);
  }

  /** @param value 0 .. 2^32 - 1 */
  uint(value: number): void {
    if (value < 0x80) this.#byte(value);
    else if (value < 0x100) this.#headed8(0xcc, value);
    else if (value < 0x10000) this.#headed16(0xcd, value);
    else this.#headed32(0xce, value);
  }

  uint64(low: number, high: number): void {
    if (high === 0) {
      this.uint(low);
      return;
    }
    const at = this.#take(9);
    this.#bytes[at] = 0xcf;
    this.#bytes.writeUInt32BE(high, at + 1);
    this.#bytes.writeUInt32BE(low, at + 5);
  }

  /** The same bits as a signed integer. */
  int64(low: number, high: number): void {
    if (high >>> 31 === 0) {
      this.uint64(low, high);
      return;
    }
    const at = this.#take(9);
    this.#bytes[at] = 0xd3;
    this.#bytes.writeUInt32BE(high, at + 1);
    this.#bytes.writeUInt32BE(low, at + 5);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    if (length < 0x20) this.#byte(0xa0 | length);
    else if (length < 0x100) this.#headed8(0xd9, length);
    else if (length < 0x10000) this.#headed16(0xda, length);
    else this.#headed32(0xdb, length);
    const at = this.#take(length);
    this.#bytes.write(value, at);
  }

  bytes(value: Uint8Array): void {
    const { length } = value;
    if (length < 0x100) this.#headed8(0xc4, length);
    else if (length < 0x10000) this.#headed16(0xc5, length);
    else this.#headed32(0xc6, length);
    const at = this.#take(length);
    this.#bytes.set(value, at);
  }

  array(length: number): void {
    if (length < 0x10) this.#byte(0x90 | length);
    else if (length < 0x10000) this.#headed16(0xdc, length);
    else this.#headed32(0xdd, length);
  }

  /** @param entries 0 .. 15 */
  map(entries: number): void {
    this.#byte(0x80 | entries);
  }

  /** Null, a text, a non-negative 32-bit integer, any other number as a double, or a list of these. */
  value(value: unknown): void {
    if (value === null) this.nil();
    else if (typeof value === 'string') this.text(value);
    else if (typeof value === 'number' && value >>> 0 === value) this.uint(value);
    else if (typeof value === 'number') this.float64(value);
    else if (Array.isArray(value)) {
      this.array(value.length);
      for (const item of value) this.value(item);
    } else throw new TypeError(`no MessagePack form for a ${typeof value} here`);
  }

  #byte(value: number): void {
    const at = this.#take(1);
    this.#bytes[at] = value;
  }

  #headed8(head: number, value: number): void {
    const at = this.#take(2);
    this.#bytes[at] = head;
    this.#bytes[at + 1] = value;
  }

  #headed16(head: number, value: number): void {
    const at = this.#take(3);
    this.#bytes[at] = head;
    this.#bytes.writeUInt16BE(value, at + 1);
  }

  #headed32(head: number, value: number): void {
    const at = this.#take(5);
    this.#bytes[at] = head;
    this.#bytes.writeUInt32BE(value, at + 1);
  }

  /** Reserves the next `length` bytes. @returns their offset */
  #take(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    return at;
  }
}
