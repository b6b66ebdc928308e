// Reads lists of block hashes and token ids from MessagePack into reused words, without an object a number.

import { headBytes, integerAt, isArray, isBinary, lengthAt, plainBytes, skipValue } from './message-pack.ts';

/** Words kept from event to event. Longer lists get memory of their own. */
const keptWordsMax = 65_536;
/** Lengths whose view is kept. */
const viewsMax = 1024;

/** Words that every event writes anew, and a view of each short length. */
export class ReusedWords {
  #words: Uint32Array = new Uint32Array(64);
  readonly #views: (Uint32Array | undefined)[] = [];

  /** At least `count` words of any content. The words of the call before are invalid. */
  reserve(count: number): Uint32Array {
    if (count > keptWordsMax) return new Uint32Array(count);
    if (count > this.#words.length) {
      this.#words = new Uint32Array(2 ** Math.ceil(Math.log2(count)));
      this.#views.length = 0;
    }
    return this.#words;
  }

  /** The first `count` of the words that `reserve` returned. */
  view(words: Uint32Array, count: number): Uint32Array {
    if (words !== this.#words || count > viewsMax) return words.subarray(0, count);
    const view = this.#views[count];
    if (view !== undefined) return view;
    // No holes, which would slow down every access.
    while (this.#views.length <= count) this.#views.push(undefined);
    const made = words.subarray(0, count);
    this.#views[count] = made;
    return made;
  }
}

/** A list being read: its words, and where it ends. */
export class WordList {
  /** Items of the list; -1: it is none. */
  count = -1;
  /** Every item has the right form. */
  isWhole = false;
  /** Offset after the list. */
  end = 0;
  #words: Uint32Array = new Uint32Array(0);
  readonly #reused = new ReusedWords();

  /** Valid until the next list is read. */
  get words(): Uint32Array {
    return this.#reused.view(this.#words, this.#wordCount);
  }
  #wordCount = 0;

  forget(): void {
    this.count = -1;
    this.isWhole = false;
  }

  /** Token ids: integers from 0 to 2^32 - 1 of any width. One word each. */
  readTokens(bytes: Uint8Array, view: DataView, start: number): void {
    if (!this.#open(bytes, start, 1)) return;
    const at = readIds(bytes, view, this.end, this.count, this.#words);
    this.isWhole = at >= 0;
    if (this.isWhole) this.end = at;
    else this.#skip(bytes, this.end, this.count);
  }

  /** Block hashes: two words (low, high) each. */
  readHashes(bytes: Uint8Array, view: DataView, start: number): void {
    if (!this.#open(bytes, start, 2)) return;
    const words = this.#words;
    const { count } = this;
    let at = this.end;
    for (let i = 0; i < count; i++) {
      if (bytes[at] === 0xcf) {
        words[2 * i] = view.getInt32(at + 5);
        words[2 * i + 1] = view.getInt32(at + 1);
        at += 9;
      } else if (readHash(bytes, view, at, words, 2 * i)) at = skipValue(bytes, at);
      else {
        this.#skip(bytes, at, count - i);
        return;
      }
    }
    this.end = at;
    this.isWhole = true;
  }

  /** Block hashes of the same form, the first one at `first`, each `step` bytes after the one before. */
  readSpaced(bytes: Uint8Array, view: DataView, first: number, step: number, count: number): void {
    this.count = count;
    this.#wordCount = 2 * count;
    this.#words = this.#reused.reserve(this.#wordCount);
    for (let i = 0; i < count; i++) readHash(bytes, view, first + i * step, this.#words, 2 * i);
  }

  /** Sets `end` to the first item. @returns false if it is no list; then `end` is after the value */
  #open(bytes: Uint8Array, start: number, wordsPerItem: number): boolean {
    const head = bytes[start]!;
    this.forget();
    if (!isArray(head)) {
      this.end = skipValue(bytes, start);
      return false;
    }
    this.count = lengthAt(bytes, start);
    this.end = start + headBytes(head);
    this.#wordCount = this.count * wordsPerItem;
    this.#words = this.#reused.reserve(this.#wordCount);
    return true;
  }

  #skip(bytes: Uint8Array, from: number, items: number): void {
    let at = from;
    for (let i = 0; i < items; i++) at = skipValue(bytes, at);
    this.end = at;
  }
}

const noId = 255;
/** By the first byte of a token id of one, two, four or no further bytes: how far the four bytes from it on are shifted. */
const idShifts: Uint8Array = Uint8Array.from({ length: 256 }, (_, head) => {
  if (head < 0x80) return 24;
  return head >= 0xcc && head <= 0xce ? [24, 16, 0][head - 0xcc]! : noId;
});
/** @returns the offset after the list, -1 if an item has another form */
function readIds(bytes: Uint8Array, view: DataView, start: number, count: number, words: Uint32Array): number {
  // Four bytes can be read behind the head of any token that begins before this offset.
  const safe = bytes.length - 4;
  let at = start;
  for (let i = 0; i < count; i++) {
    const head = bytes[at]!;
    const shift = idShifts[head]!;
    if (shift !== noId && at < safe) {
      // Ids of all lengths alternate, so a branch would be mispredicted often.
      words[i] = view.getInt32(at + (head >>> 7)) >>> shift;
    } else {
      const id = integerAt(bytes, at);
      if (!(id >= 0 && id <= 0xffffffff)) return -1;
      words[i] = id;
    }
    at += plainBytes[head]!;
  }
  return at;
}

/**
 * The low 64 bits of a block hash: an integer of any width and sign, or the last 8 bytes of a digest. @returns false if
 * it is neither
 */
export function readHash(bytes: Uint8Array, view: DataView, at: number, words: Uint32Array, to: number): boolean {
  const head = bytes[at]!;
  if (head === 0xcf || head === 0xd3) {
    words[to] = view.getInt32(at + 5);
    words[to + 1] = view.getInt32(at + 1);
    return true;
  }
  if (isBinary(head)) {
    const length = lengthAt(bytes, at);
    if (length < 8) return false;
    const end = at + headBytes(head) + length;
    words[to] = view.getInt32(end - 4);
    words[to + 1] = view.getInt32(end - 8);
    return true;
  }
  const value = integerAt(bytes, at);
  if (Number.isNaN(value)) return false;
  words[to] = value;
  words[to + 1] = value < 0 ? 0xffffffff : 0;
  return true;
}
