// Words -> ids, with a cache of words that keeps each with its ids in one cache line.
//
// A word has one set of slots, by its hash: no probing, so no chosen words make it slow, and no clean-up, so its memory
// is constant. Exact: the bytes are compared.

import { mergeWord } from './merges';
import { wordEnd } from './scanners';
import { equal, find, hashOf, shortBytes, shortHash, tokenBytesMax } from './vocabulary';
import {
  closeGaps,
  countOf,
  firstEntry,
  gapOf,
  isAnyWaiting,
  isFull,
  lastEntryEnd,
  lengthOf,
  mergeWaiting,
  placeWaiting,
  wait,
  waitingBytes,
  waitingBytesMax,
  wordOf,
} from './waiting-words';

/** Short words: at most 16 bytes and 3 ids. 32 bytes a slot: the bytes (16), length, count (u16 each), ids. */
const shortBytesMax: usize = 16;
const shortIdsMax: usize = 3;
/** Other words that waited. 128 bytes a slot: hash, length, count (u16 each), ids (16), bytes (`waitingBytesMax`). */
const longIdsMax: usize = 16;

let shorts: usize = 0;
let shortMask: usize = 0;
let longs: usize = 0;
let longMask: usize = 0;

/** @param shortSets of two slots each, a power of two, as is `longSlots` @param waitingAt `waitingWordBytes` bytes */
export function placeWords(
  shortsAt: usize,
  shortSets: usize,
  longsAt: usize,
  longSlots: usize,
  waitingAt: usize,
): void {
  shorts = shortsAt;
  shortMask = shortSets - 1;
  longs = longsAt;
  longMask = longSlots - 1;
  placeWaiting(waitingAt);
}

export function waitingWordBytes(): usize {
  return waitingBytes;
}

/** Writes the ids of a text to `out`, up to 16 bytes more than needed. @returns the address after them */
export function encodeWords(at: usize, end: usize, out: usize): usize {
  while (at < end) {
    const next = wordEnd(at, end);
    const length = next - at;
    if (length <= shortBytesMax) {
      const bytes = shortBytes(at, length);
      const hash = shortHash(bytes, length);
      const slot = shortSlot(hash);
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
  return isAnyWaiting() ? encodeWaiting(out) : out;
}

@inline function shortSlot(hash: u64): usize {
  return shorts + ((<usize>hash & shortMask) << 6);
}

/** A word that the first slot of its set does not hold. */
function encodeShort(at: usize, end: usize, bytes: v128, hash: u64, slot: usize, out: usize): usize {
  const second = slot + 32;
  const length = end - at;
  const meta = load<u32>(second, 16);
  if (!v128.any_true(v128.xor(v128.load(second), bytes)) && (meta & 0xffff) == <u32>length) {
    const ids = v128.load(second, 16);
    v128.store(second, v128.load(slot));
    v128.store(second, v128.load(slot, 16), 16);
    v128.store(slot, bytes);
    v128.store(slot, ids, 16);
    v128.store(out, v128.load(slot, 20));
    return out + ((meta >> 16) << 2);
  }
  const id = find(at, end, hash);
  if (id == -1) return encodeUnknown(at, end, hash, out);
  store<u32>(out, id);
  keepShort(slot, bytes, length, out, 1);
  return out + 4;
}

/** A new word goes to the second slot, so that words that occur once do not drive out those that return. */
function keepShort(slot: usize, bytes: v128, length: usize, ids: usize, count: u32): void {
  const second = slot + 32;
  v128.store(second, bytes);
  v128.store(second, v128.load(ids - 4), 16);
  store<u32>(second, <u32>length | (count << 16), 16);
}

/** A word of more than `shortBytesMax` bytes. */
function encodeSlowly(at: usize, end: usize, hash: u64, out: usize): usize {
  const id = end - at <= tokenBytesMax ? find(at, end, hash) : -1;
  if (id == -1) return encodeUnknown(at, end, hash, out);
  store<u32>(out, id);
  return out + 4;
}

/** A word that is no token and in no short slot. */
function encodeUnknown(at: usize, end: usize, hash: u64, out: usize): usize {
  const length = end - at;
  if (length > waitingBytesMax) return mergeWord(at, end, out);
  const slot = longs + ((<usize>hash & longMask) << 7);
  const meta = load<u32>(slot, 4);
  if (load<u32>(slot) == <u32>(hash >> 32) && (meta & 0xffff) == <u32>length && equal(slot + 72, at, length)) {
    const idsEnd = out + ((meta >> 16) << 2);
    for (let from = slot + 8; out < idsEnd; from += 16, out += 16) v128.store(out, v128.load(from));
    return idsEnd;
  }
  out = wait(at, length, out);
  return isFull() ? encodeWaiting(out) : out;
}

/** Merges what waits, and keeps the ids. @param out the address after all ids and gaps @returns after all ids */
function encodeWaiting(out: usize): usize {
  mergeWaiting();
  for (let entry = firstEntry(); entry < lastEntryEnd(); entry += 16) {
    const at = wordOf(entry);
    const length = lengthOf(entry);
    const count = countOf(entry);
    const ids = gapOf(entry);
    if (length <= shortBytesMax && count <= shortIdsMax) {
      const bytes = shortBytes(at, length);
      keepShort(shortSlot(shortHash(bytes, length)), bytes, length, ids, count);
    } else if (count <= longIdsMax) keepLong(hashOf(at, at + length), at, length, ids, count);
  }
  return closeGaps(out);
}

function keepLong(hash: u64, at: usize, length: usize, ids: usize, count: u32): void {
  const slot = longs + ((<usize>hash & longMask) << 7);
  store<u32>(slot, <u32>(hash >> 32));
  store<u32>(slot, <u32>length | (count << 16), 4);
  memory.copy(slot + 8, ids, count << 2);
  memory.copy(slot + 72, at, length);
}
