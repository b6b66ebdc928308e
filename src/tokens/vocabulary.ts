// The tokens of a byte-level BPE vocabulary: word -> id by open addressing, id -> bytes by offset.

import { assert } from '../core/assert.ts';

/** Hash of `bytes[start..end)`, for `Vocabulary.find` and the word cache. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}

/** A vocabulary as arrays that can be stored and shared between threads. */
export interface VocabularyTables {
  /** Bytes of all tokens, one after another. */
  readonly bytes: Uint8Array;
  /** Where token `id` starts in `bytes`; one more entry than ids. */
  readonly starts: Uint32Array;
  /**
   * Two words per slot: hash, then id + 1 (0: empty). The slot count is a power of two, with at least one empty slot.
   */
  readonly slots: Uint32Array;
  /** The token of each single byte. */
  readonly byteIds: Uint32Array;
}

/** The slots of the given tokens. Of two with equal bytes the first one is found. */
export function vocabularySlots(bytes: Uint8Array, starts: Uint32Array, ids: Iterable<number>): Uint32Array {
  const capacity = 1 << Math.ceil(Math.log2(starts.length * 2));
  const slots = new Uint32Array(capacity * 2);
  for (const id of ids) {
    const hash = hashBytes(bytes, starts[id]!, starts[id + 1]!);
    let slot = hash & (capacity - 1);
    while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & (capacity - 1);
    slots[slot * 2] = hash;
    slots[slot * 2 + 1] = id + 1;
  }
  return slots;
}

/** Ids start at 0; an unused id has no bytes. */
export class Vocabulary {
  readonly size: number;
  /** Bytes of the longest token. */
  readonly tokenBytesMax: number;
  readonly tables: VocabularyTables;
  readonly #bytes: Uint8Array;
  readonly #starts: Uint32Array;
  readonly #slots: Uint32Array;
  readonly #slotMask: number;
  readonly #byteIds: Uint32Array;

  constructor(tables: VocabularyTables) {
    const { bytes, starts, slots, byteIds } = tables;
    this.tables = tables;
    this.size = starts.length - 1;
    this.#bytes = bytes;
    this.#starts = starts;
    this.#slots = slots;
    this.#slotMask = slots.length / 2 - 1;
    this.#byteIds = byteIds;
    assert(byteIds.length === 256, 'every byte is a token');
    let tokenBytesMax = 0;
    for (let id = 0; id < this.size; id++) tokenBytesMax = Math.max(tokenBytesMax, starts[id + 1]! - starts[id]!);
    this.tokenBytesMax = tokenBytesMax;
  }

  /** Id of the word with exactly these bytes, or -1. @param hash their `hashBytes` */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const length = end - start;
    for (let slot = hash & this.#slotMask; ; slot = (slot + 1) & this.#slotMask) {
      const id = slots[slot * 2 + 1]! - 1;
      if (id === -1) return -1;
      if (slots[slot * 2] === hash && this.#equals(id, bytes, start, length)) return id;
    }
  }

  /** Ids that `find` can return. */
  *words(): Generator<number> {
    for (let at = 1; at < this.#slots.length; at += 2) {
      const id = this.#slots[at]! - 1;
      const hash = this.#slots[at - 1]!;
      const [start, end] = [this.#starts[id]!, this.#starts[id + 1]!];
      if (id !== -1 && this.find(this.#bytes, start, end, hash) === id) yield id;
    }
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
