// Words -> ids, with a cache of words that keeps each with its ids in one cache line.
//
// A word has one set of slots, by its hash: no probing, so no chosen words make it slow, and no clean-up, so its memory
// is constant. Exact: the bytes are compared.

import { mergeWord } from './merges';
import { wordEnd } from './scanners';
import { equal, find, hashOf, shortBytes, shortHash, tokenBytesMax } from './vocabulary';

/** Short words: at most 16 bytes and 3 ids. 32 bytes a slot: the bytes (16), length, count (u16 each), ids. */
const shortBytesMax: usize = 16;
const shortIdsMax: usize = 3;
/** Longer words, or with more ids. 128 bytes a slot: hash, length, count (u16 each), ids (16), bytes (56). */
const longBytesMax: usize = 56;
const longIdsMax: usize = 16;

let shorts: usize = 0;
let shortMask: usize = 0;
let longs: usize = 0;
let longMask: usize = 0;

/** @param shortSets of two slots each, a power of two, as is `longSlots` */
export function placeWords(shortsAt: usize, shortSets: usize, longsAt: usize, longSlots: usize): void {
  shorts = shortsAt;
  shortMask = shortSets - 1;
  longs = longsAt;
  longMask = longSlots - 1;
}

/** Writes the ids of a text to `out`, up to 16 bytes more than needed. @returns the address after them */
export function encodeWords(at: usize, end: usize, out: usize): usize {
  while (at < end) {
    const next = wordEnd(at, end);
    const length = next - at;
    if (length <= shortBytesMax) {
      const bytes = shortBytes(at, length);
      const hash = shortHash(bytes, length);
      const slot = shorts + ((<usize>hash & shortMask) << 6);
      const meta = load<u32>(slot, 16);
      if (!v128.any_true(v128.xor(v128.load(slot), bytes)) && (meta & 0xffff) == <u32>length) {
        v128.store(out, v128.load(slot, 20));
        out += (meta >> 16) << 2;
      } else {
        out = encodeShort(at, next, bytes, hash, slot, out);
      }
    } else {
      out = encodeSlowly(at, next, hashOf(at, next), out);
    }
    at = next;
  }
  return out;
}

/** A word that the first slot of its set does not hold. */
function encodeShort(at: usize, end: usize, bytes: v128, hash: u64, slot: usize, out: usize): usize {
  const second = slot + 32;
  const length = end - at;
  const meta = load<u32>(second, 16);
  if (!v128.any_true(v128.xor(v128.load(second), bytes)) && (meta & 0xffff) == <u32>length) {
    v128.store(out, v128.load(second, 20));
    return out + ((meta >> 16) << 2);
  }
  const done = encodeSlowly(at, end, hash, out);
  const count = (done - out) >> 2;
  if (count > shortIdsMax) return done;
  v128.store(second, v128.load(slot));
  v128.store(second, v128.load(slot, 16), 16);
  v128.store(slot, bytes);
  v128.store(slot, v128.load(out - 4), 16);
  store<u32>(slot, <u32>(length | (count << 16)), 16);
  return done;
}

/** A word by the vocabulary, else the slots of longer words, else merges. */
function encodeSlowly(at: usize, end: usize, hash: u64, out: usize): usize {
  const length = end - at;
  const id = length <= tokenBytesMax ? find(at, end, hash) : -1;
  if (id != -1) {
    store<u32>(out, id);
    return out + 4;
  }
  if (length > longBytesMax) return mergeWord(at, end, out);
  const slot = longs + ((<usize>hash & longMask) << 7);
  const meta = load<u32>(slot, 4);
  if (load<u32>(slot) == <u32>(hash >> 32) && (meta & 0xffff) == <u32>length && equal(slot + 72, at, length)) {
    const idsEnd = out + ((meta >> 16) << 2);
    for (let from = slot + 8; out < idsEnd; from += 16, out += 16) v128.store(out, v128.load(from));
    return idsEnd;
  }
  const done = mergeWord(at, end, out);
  const count = (done - out) >> 2;
  if (count > longIdsMax || (length <= shortBytesMax && count <= shortIdsMax)) return done;
  store<u32>(slot, <u32>(hash >> 32));
  store<u32>(slot, <u32>(length | (count << 16)), 4);
  memory.copy(slot + 8, out, count << 2);
  memory.copy(slot + 72, at, length);
  return done;
}
