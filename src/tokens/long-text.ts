// A long text as UTF-8: threads hand it to each other without copying it, and it takes one byte for most characters.

const encoder = new TextEncoder();

/** The bytes must not change. */
export class LongText {
  readonly bytes: Uint8Array;
  /** Length in UTF-16 code units. */
  readonly length: number;

  constructor(bytes: Uint8Array, length: number) {
    this.bytes = bytes;
    this.length = length;
  }

  /** In memory of its own. Lone surrogates become U+FFFD, as in every tokenizer. O(characters) */
  static of(text: string): LongText {
    return new LongText(encoder.encode(text), text.length);
  }

  /** Decoded at each call. O(characters) */
  toString(): string {
    const { buffer, byteOffset, byteLength } = this.bytes;
    return Buffer.from(buffer, byteOffset, byteLength).toString();
  }
}

/** UTF-8 of the text. It may share memory with it: read only. */
export function utf8Of(text: string | LongText): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text) : text.bytes;
}
