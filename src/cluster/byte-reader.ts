// Reads what ByteWriter wrote. The bytes are a stranger's: nothing is allocated beyond their own length.

/** Thrown by the reader alone, and caught where a message is decoded. */
export class Unreadable extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true });
/** Longest text that is read without the decoder. */
const plainTextMax = 64;
/**
 * Hashes of one message share arrays of this size, because an array of its own takes longer than reading a prompt. It
 * bounds what one prompt that is kept can hold in memory.
 */
const sharedWordsMax = 1024;

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #words = new Uint32Array(0);
  #wordsUsed = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
    if (isPlain(bytes)) return String.fromCharCode.apply(null, bytes as unknown as number[]);
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

  /** A copy, aligned. It must not be changed. */
  hashes(countMax: number): Uint32Array {
    const count = this.count(countMax, 8);
    const start = this.#room(2 * count);
    for (let i = 0; i < 2 * count; i++) this.#words[start + i] = this.#view.getUint32(this.#at + 4 * i, true);
    this.#at += 8 * count;
    return this.#words.subarray(start, start + 2 * count);
  }

  /** @returns where so many words have room in `#words` */
  #room(words: number): number {
    if (this.#wordsUsed + words > this.#words.length) {
      const rest = (this.#bytes.length - this.#at) >>> 2;
      this.#words = new Uint32Array(Math.max(words, Math.min(rest, sharedWordsMax)));
      this.#wordsUsed = 0;
    }
    const start = this.#wordsUsed;
    this.#wordsUsed += words;
    return start;
  }
}

function isPlain(bytes: Uint8Array): boolean {
  if (bytes.length > plainTextMax) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}
