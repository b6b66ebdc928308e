// Caches the ids of chunks of text, which makes text that was seen before cheap, wherever it stands.
//
// A chunk ends where the split pattern always ends a word, at a place that the eight bytes before it choose: equal texts
// behind different beginnings soon have the same chunks. The chunks and their ids lie in a ring, newest last. A chunk
// that is found in the older half is written again, so that what was used while half of the ring was written stays.
// Exact: the bytes are compared.

import { splitsAt } from './scanners';
import { equal } from './vocabulary';
import { encodeWords } from './words';

/** A chunk has at least this many bytes, except for the last one of a text. */
const chunkBytesMin: usize = 1024;
/** From this many bytes on, a chunk ends wherever it may. */
const chunkBytesSoftMax: usize = 4096;
/** Longer ones are not kept. */
const keptBytesMax: usize = 16384;
/** Shorter ones are encoded faster than they are found. */
const keptBytesMin: usize = 64;
/** Of the hashes of eight bytes, one in 2^5 ends a chunk. */
const cutBits: u64 = 5;

/** Four slots a set, one by the hash: 32 bits of the hash, then the place of the entry (0: empty). */
let slots: usize = 0;
let setMask: u32 = 0;
/** Entries: bytes, ids (u32 each), the bytes of the text, padding. */
let ring: usize = 0;
/** Sizes and places in the ring are in units of 8 bytes. Places count all that was ever written, from 1 on. */
let ringUnits: u32 = 0;
let head: u32 = 1;

/** Bytes that were split into words, not found as chunks. */
let splitBytes: f64 = 0;

/** Before this place wraps, the cache is emptied: every 32 GB of chunks. */
const headMax: u32 = 0xf0000000;

/** @param sets a power of two @param units 0: no cache */
export function placeChunks(slotsAt: usize, sets: u32, ringAt: usize, units: u32): void {
  slots = slotsAt;
  setMask = sets - 1;
  ring = ringAt;
  ringUnits = units;
}

export function bytesSplit(): f64 {
  return splitBytes;
}

/** Writes the ids of a text to `out`. @returns the address after them */
export function encode(at: usize, end: usize, out: usize): usize {
  if (ringUnits == 0) return split(at, end, out);
  while (at < end) {
    const next = chunkEnd(at, end);
    const length = next - at;
    if (length < keptBytesMin || length > keptBytesMax) {
      out = split(at, next, out);
    } else {
      const hash = chunkHash(at, length);
      const found = read(at, length, hash, out);
      if (found == 0) {
        const done = split(at, next, out);
        write(at, length, hash, out, done - out);
        out = done;
      } else {
        out = found;
      }
    }
    at = next;
  }
  return out;
}

@inline function split(at: usize, end: usize, out: usize): usize {
  splitBytes += <f64>(end - at);
  return encodeWords(at, end, out);
}

function chunkEnd(at: usize, end: usize): usize {
  let cut = at + chunkBytesMin;
  const soft = min(end, at + chunkBytesSoftMax);
  for (; cut < soft; cut += 16) {
    const bytes = v128.load(cut);
    let places = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(bytes, i8x16.splat(0x20)), i8x16.eq(bytes, i8x16.splat(0x0a))),
        v128.or(i8x16.eq(bytes, i8x16.splat(<i8>0xe3)), i8x16.eq(bytes, i8x16.splat(<i8>0xef))),
      ),
    );
    for (; places != 0; places &= places - 1) {
      const place = cut + ctz<i32>(places);
      if ((load<u64>(place - 8) * 0x9e3779b185ebca87) >> (64 - cutBits) == 0 && place < end && splitsAt(place)) return place;
    }
  }
  for (cut = min(cut, end); cut < end; cut++) if (splitsAt(cut)) return cut;
  return end;
}

function chunkHash(at: usize, length: usize): u64 {
  const last = at + length - 16;
  let one: u64 = length;
  let two: u64 = 0;
  for (; at < last; at += 16) {
    one = rotl<u64>((one ^ load<u64>(at)) * 0x9e3779b185ebca87, 29);
    two = rotl<u64>((two ^ load<u64>(at, 8)) * 0xc2b2ae3d27d4eb4f, 31);
  }
  one = (one ^ load<u64>(last)) * 0x9e3779b185ebca87;
  two = (two ^ load<u64>(last, 8)) * 0xc2b2ae3d27d4eb4f;
  one = (one ^ rotl<u64>(two, 32)) * 0x165667b19e3779f9;
  return one ^ (one >> 32);
}

/** Copies the ids of a chunk to `out`. @returns the address after them; 0 if the chunk is not cached */
function read(at: usize, length: usize, hash: u64, out: usize): usize {
  const set = slots + ((<u32>hash & setMask) << 5);
  const sign = <u32>(hash >> 32);
  for (let slot = set; slot < set + 32; slot += 8) {
    const place = load<u32>(slot, 4);
    if (load<u32>(slot) != sign || !isLive(place)) continue;
    const entry = entryAt(place);
    if (load<u32>(entry) != <u32>length) continue;
    const idBytes = load<u32>(entry, 4) << 2;
    if (!equal(entry + 8 + idBytes, at, length)) continue;
    memory.copy(out, entry + 8, idBytes);
    if (head - place > ringUnits >> 1) {
      const renewed = reserve(unitsOf(length, idBytes));
      // The ids first: making room may have overwritten the old entry, not `out` and the text.
      put(renewed, at, length, out, idBytes);
      store<u32>(slot, renewed, 4);
    }
    return out + idBytes;
  }
  return 0;
}

function write(at: usize, length: usize, hash: u64, ids: usize, idBytes: usize): void {
  const units = unitsOf(length, idBytes);
  if (units > ringUnits) return;
  const place = reserve(units);
  put(place, at, length, ids, idBytes);
  // The slot of the oldest entry; those that are gone are older than any.
  const set = slots + ((<u32>hash & setMask) << 5);
  let oldest = set;
  for (let slot = set + 8; slot < set + 32; slot += 8) {
    if (load<u32>(slot, 4) < load<u32>(oldest, 4)) oldest = slot;
  }
  store<u32>(oldest, <u32>(hash >> 32));
  store<u32>(oldest, place, 4);
}

@inline function isLive(place: u32): bool {
  return place != 0 && head - place <= ringUnits;
}

@inline function entryAt(place: u32): usize {
  return ring + (<usize>((place - 1) % ringUnits) << 3);
}

@inline function unitsOf(length: usize, idBytes: usize): u32 {
  return (8 + <u32>length + <u32>idBytes + 7) >> 3;
}

/** Makes room for an entry in one piece. @returns its place */
function reserve(units: u32): u32 {
  if (head >= headMax) {
    memory.fill(slots, 0, (<usize>setMask + 1) << 5);
    head = 1;
  }
  const used = (head - 1) % ringUnits;
  if (used + units > ringUnits) head += ringUnits - used;
  const place = head;
  head += units;
  const needed = ((entryAt(place) + (<usize>units << 3) + 0xffff) >> 16) - memory.size();
  if (<isize>needed > 0) memory.grow(<i32>needed);
  return place;
}

function put(place: u32, at: usize, length: usize, ids: usize, idBytes: usize): void {
  const entry = entryAt(place);
  store<u32>(entry, <u32>length);
  store<u32>(entry, <u32>(idBytes >> 2), 4);
  memory.copy(entry + 8, ids, idBytes);
  memory.copy(entry + 8 + idBytes, at, length);
}
