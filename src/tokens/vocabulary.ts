// The tokens of a byte-level BPE vocabulary: bytes -> id by open addressing, id -> bytes by offset.
import { assert } from '../core/assert.ts';

/** Hash of `bytes[start..end)`; what `Vocabulary.find` and the word cache take. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}

/**
 * Ids are dense from 0 and are the merge ranks too: of two possible merges, the one that makes the lower id comes
 * first. Every single byte is a token.
 */
export class Vocabulary {
  readonly size: number;
  /** Bytes of the longest token. */
  readonly tokenBytesMax: number;
  /** Bytes of all tokens, one after another. */
  readonly #bytes: Uint8Array;
  /** Where token `id` starts in `#bytes`; one more entry than tokens. */
  readonly #starts: Uint32Array;
  /** Two words a slot: hash, then id + 1 (0: empty). */
  readonly #slots: Uint32Array;
  readonly #slotMask: number;
  readonly #byteIds: Uint32Array = new Uint32Array(256);
  /** Id + 1 of the token made of two bytes, by first byte * 256 + second (0: none). */
  readonly #pairIds: Uint32Array = new Uint32Array(65536);

  /** @param starts offsets into `bytes`, one more than there are tokens */
  constructor(bytes: Uint8Array, starts: Uint32Array) {
    this.size = starts.length - 1;
    this.#bytes = bytes;
    this.#starts = starts;
    const capacity = 1 << Math.ceil(Math.log2(this.size * 2 + 1));
    const slots = new Uint32Array(capacity * 2);
    this.#slots = slots;
    this.#slotMask = capacity - 1;
    let tokenBytesMax = 0;
    for (let id = 0; id < this.size; id++) {
      const start = starts[id]!;
      const end = starts[id + 1]!;
      tokenBytesMax = Math.max(tokenBytesMax, end - start);
      if (end - start === 1) this.#byteIds[bytes[start]!] = id + 1;
      if (end - start === 2) this.#pairIds[bytes[start]! * 256 + bytes[start + 1]!] = id + 1;
      const hash = hashBytes(bytes, start, end);
      let slot = hash & this.#slotMask;
      while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & this.#slotMask;
      slots[slot * 2] = hash;
      slots[slot * 2 + 1] = id + 1;
    }
    this.tokenBytesMax = tokenBytesMax;
    for (let byte = 0; byte < 256; byte++) {
      assert(this.#byteIds[byte]! > 0, `the vocabulary lacks byte ${byte}`);
      this.#byteIds[byte]!--;
    }
  }

  /** Id of the token with exactly these bytes, or -1. @param hash their `hashBytes` */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const length = end - start;
    for (let slot = hash & this.#slotMask; ; slot = (slot + 1) & this.#slotMask) {
      const id = slots[slot * 2 + 1]! - 1;
      if (id === -1) return -1;
      if (slots[slot * 2] === hash && this.#equals(id, bytes, start, length)) return id;
    }
  }

  /** Id of the token that merging two neighbours makes, both together `bytes[start..end)`, or -1. */
  merged(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 2) return this.#pairIds[bytes[start]! * 256 + bytes[start + 1]!]! - 1;
    if (length > this.tokenBytesMax) return -1;
    return this.find(bytes, start, end, hashBytes(bytes, start, end));
  }

  byteId(byte: number): number {
    return this.#byteIds[byte]!;
  }

  /** A view, not a copy. @param id 0 .. size - 1 */
  tokenBytes(id: number): Uint8Array {
    return this.#bytes.subarray(this.#starts[id]!, this.#starts[id + 1]!);
  }

  #equals(id: number, bytes: Uint8Array, start: number, length: number): boolean {
    const own = this.#starts[id]!;
    if (this.#starts[id + 1]! - own !== length) return false;
    for (let at = 0; at < length; at++) {
      if (this.#bytes[own + at] !== bytes[start + at]) return false;
    }
    return true;
  }
}
