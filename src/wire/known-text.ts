// A text that MessagePack values are compared with, four bytes at a time.

import { headBytes, isText, lengthAt } from './message-pack.ts';

export class KnownText {
  /** The text in its shortest form, head included. */
  readonly #bytes: Uint8Array;
  readonly #head: number;
  /** Big-endian words of that form; the last one ends with the text. */
  readonly #words: Int32Array;

  /** @param text 3 to 31 bytes of UTF-8 */
  constructor(text: string) {
    const utf8 = Buffer.from(text);
    if (utf8.length < 3 || utf8.length > 31) throw new RangeError('a known text has 3 to 31 bytes');
    this.#head = 0xa0 | utf8.length;
    const bytes = Buffer.concat([Uint8Array.of(this.#head), utf8]);
    this.#bytes = bytes;
    this.#words = Int32Array.from({ length: Math.ceil(bytes.length / 4) }, (_, i) =>
      bytes.readInt32BE(Math.min(4 * i, bytes.length - 4)),
    );
  }

  /** Whether the value at `at` is this text, in any form. @param view of the same bytes, which the walk has checked */
  equals(bytes: Uint8Array, view: DataView, at: number): boolean {
    if (bytes[at] !== this.#head) return isText(bytes[at]!) && this.#equalsLong(bytes, at);
    const words = this.#words;
    const last = words.length - 1;
    for (let i = 0; i < last; i++) if (view.getInt32(at + 4 * i) !== words[i]) return false;
    return view.getInt32(at + this.#bytes.length - 4) === words[last];
  }

  /** A text whose head is longer than necessary. */
  #equalsLong(bytes: Uint8Array, at: number): boolean {
    const length = this.#bytes.length - 1;
    if (lengthAt(bytes, at) !== length) return false;
    const start = at + headBytes(bytes[at]!);
    for (let i = 0; i < length; i++) if (bytes[start + i] !== this.#bytes[1 + i]) return false;
    return true;
  }
}
