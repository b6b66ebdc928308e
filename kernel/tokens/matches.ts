// Words that are no tokens: the longest token that may stand at each place, then the next shorter one, as far as needed.
//
// Tokens are what a word merges into if, and only if, each two neighbours are what they merge into together. (Merges
// inside of tokens happen in the same order with and without other tokens beside them. So if a merge across a border came
// first, it would with only the two tokens of that border as well.) A place is reached by one row of tokens at most,
// whatever comes behind it. Therefore no place is tried twice, and time is linear in the bytes of a word.

import { isPair, lastMerge, unordered, unreachable } from './last-merges';
import { productOfBytes } from './merges';
import { byteId, find, lengthsAt, shortBytes, shortHash, hashOf, tokenBytesMax, tokenSize, wholeLengthsMax } from './vocabulary';

/** For each offset in a word, the number of the word in which nothing may end there (u32). */
let deadEnds: usize = 0;
let bytesMax: usize = 0;
let wordNumber: u32 = 0;

const none: i32 = -1;
/** A token that could stand there is `unordered`. */
const unknown: i32 = -2;
/** Bytes of the token that `match` found. */
let matched: usize = 0;

/** @param at four bytes for each byte of the longest word, all 0 */
export function placeMatches(at: usize, ofBytesMax: usize): void {
  deadEnds = at;
  bytesMax = ofBytesMax;
}

/** Writes the ids of a word to `out`. @returns the address after them; 0: these tokens must be merged */
export function encodeByMatches(at: usize, end: usize, out: usize): usize {
  if (++wordNumber == 0) {
    memory.fill(deadEnds, 0, bytesMax << 2);
    wordNumber = 1;
  }
  const first = out;
  let place = at;
  let lengthMax = end - at;
  while (place < end) {
    const id = match(place, lengthMax, at, out == first ? none : load<u32>(out - 4));
    if (id >= 0) {
      store<u32>(out, id);
      out += 4;
      place += matched;
      lengthMax = end - place;
    } else {
      if (id == unknown || out == first) return 0;
      store<u32>(deadEnds + ((place - at) << 2), wordNumber);
      out -= 4;
      lengthMax = tokenSize(load<u32>(out)) - 1;
      place -= lengthMax + 1;
    }
  }
  return out;
}

/** The longest token of at most `lengthMax` bytes that can stand at `place` behind `previous`, if that is not `none`. */
function match(place: usize, lengthMax: usize, start: usize, previous: i32): i32 {
  if (lengthMax >= 4) {
    const lengths = lengthsAt(place);
    if (lengthMax > wholeLengthsMax && lengths >> 15 != 0) {
      for (let length = min(lengthMax, tokenBytesMax); length > wholeLengthsMax; length--) {
        const id = fitting(find(place, place + length, hashOf(place, place + length)), place + length - start, previous);
        if (id != none) return found(id, length);
      }
    }
    let left = lengths & 0x7fff & ((<u32>2 << <u32>min(lengthMax - 4, 14)) - 1);
    while (left != 0) {
      const bit = 31 - clz<u32>(left);
      left ^= <u32>1 << bit;
      const length = <usize>bit + 4;
      const known = length <= 16
        ? find(place, place + length, shortHash(shortBytes(place, length), length))
        : find(place, place + length, hashOf(place, place + length));
      const id = fitting(known, place + length - start, previous);
      if (id != none) return found(id, length);
    }
  }
  if (lengthMax >= 3) {
    const known = find(place, place + 3, shortHash(shortBytes(place, 3), 3));
    const id = fitting(known, place + 3 - start, previous);
    if (id != none) return found(id, 3);
  }
  if (lengthMax >= 2) {
    const id = fitting(productOfBytes(place), place + 2 - start, previous);
    if (id != none) return found(id, 2);
  }
  if (lengthMax == 0) return none;
  return found(fitting(byteId(load<u8>(place)), place + 1 - start, previous), 1);
}

@inline function found(id: i32, length: usize): i32 {
  matched = length;
  return id;
}

/** @param id a token or `none` @param end its offset in the word @returns the token, `none` if it does not fit, or `unknown` */
@inline function fitting(id: i32, end: usize, previous: i32): i32 {
  if (id == none || load<u32>(deadEnds + (end << 2)) == wordNumber) return none;
  const merge = lastMerge(id);
  if (merge == unreachable) return none;
  if (merge == unordered) return unknown;
  return previous == none || isPair(previous, id) ? id : none;
}
