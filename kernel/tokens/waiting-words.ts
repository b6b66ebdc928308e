// Words that must be merged wait until there are several, which are then merged in turns.
//
// A merge needs the ranks of two pairs, from a table larger than the processor's caches, before the word's next merge is
// known. The merges of other words do not depend on them, so the processor works on those meanwhile.

import { byteRank, keyOf, noMerge, product, rankOf } from './merges';
import { byteId } from './vocabulary';

/** Longer words are merged alone: a word's symbols, and its end, are the bits of a u64. */
export const waitingBytesMax: usize = 56;
/** Words that wait at a time. 16 bytes each: address, length, address of the gap, number of ids (u32 each). */
const waitingMax: usize = 256;
/** Words that are merged in turns. */
const benchesMax: usize = 8;
/** A bench: the entry of its word, the length (u32 each), the symbols (u64), then keys and ids of 64 symbols (u32). */
const keysAt: usize = 16;
const idsAt: usize = keysAt + 256;
const benchBytes: usize = idsAt + 256;

/** A multiple of 8. */
export const waitingBytes: usize = waitingMax * 16 + benchesMax * (8 + benchBytes);

let entries: usize = 0;
let entriesEnd: usize = 0;
/** Addresses of the benches (u32), those in use first. */
let order: usize = 0;

export function placeWaiting(at: usize): void {
  entries = at;
  entriesEnd = at;
  order = at + waitingMax * 16;
  const benches = order + benchesMax * 8;
  for (let bench: usize = 0; bench < benchesMax; bench++) store<u32>(order + (bench << 2), <u32>(benches + bench * benchBytes));
}

@inline export function isAnyWaiting(): bool {
  return entriesEnd != entries;
}

@inline export function isFull(): bool {
  return entriesEnd == order;
}

/** Leaves a gap at `out` for the ids of a word of at most `waitingBytesMax` bytes. @returns the address after the gap */
@inline export function wait(at: usize, length: usize, out: usize): usize {
  store<u32>(entriesEnd, <u32>at);
  store<u32>(entriesEnd, <u32>length, 4);
  store<u32>(entriesEnd, <u32>out, 8);
  entriesEnd += 16;
  return out + (length << 2);
}

/** The first entry, for `wordOf` and so on; the next one is 16 bytes on. */
@inline export function firstEntry(): usize {
  return entries;
}

@inline export function lastEntryEnd(): usize {
  return entriesEnd;
}

@inline export function wordOf(entry: usize): usize {
  return load<u32>(entry);
}

@inline export function lengthOf(entry: usize): usize {
  return load<u32>(entry, 4);
}

/** Where the ids of the word begin, after `mergeWaiting`. */
@inline export function gapOf(entry: usize): usize {
  return load<u32>(entry, 8);
}

/** How many ids the word has, after `mergeWaiting`. */
@inline export function countOf(entry: usize): u32 {
  return load<u32>(entry, 12);
}

/** Merges every word that waits, into its gap. */
export function mergeWaiting(): void {
  let next = entries;
  let used: usize = 0;
  for (; used < benchesMax && next < entriesEnd; used++, next += 16) begin(load<u32>(order + (used << 2)), next);
  while (used > 0) {
    for (let turn: usize = 0; turn < used; ) {
      const bench = <usize>load<u32>(order + (turn << 2));
      if (step(bench)) {
        turn++;
        continue;
      }
      finish(bench);
      if (next < entriesEnd) {
        begin(bench, next);
        next += 16;
        turn++;
      } else {
        used--;
        store<u32>(order + (turn << 2), load<u32>(order + (used << 2)));
        store<u32>(order + (used << 2), <u32>bench);
      }
    }
  }
}

/** Closes the gaps, and nobody waits any more. @param out the address after the last id @returns the same, moved */
export function closeGaps(out: usize): usize {
  let to = gapOf(entries);
  for (let entry = entries; entry < entriesEnd; entry += 16) {
    const gap = gapOf(entry);
    to = move(gap, gap + (<usize>countOf(entry) << 2), to);
    const following = entry + 16 < entriesEnd ? gapOf(entry + 16) : out;
    to = move(gap + (lengthOf(entry) << 2), following, to);
  }
  entriesEnd = entries;
  return to;
}

/** Moves ids to a lower address, or leaves them in place. */
@inline function move(from: usize, end: usize, to: usize): usize {
  if (from == to) return end;
  for (; from + 16 <= end; from += 16, to += 16) v128.store(to, v128.load(from));
  for (; from < end; from += 4, to += 4) store<u32>(to, load<u32>(from));
  return to;
}

function begin(bench: usize, entry: usize): void {
  const at = wordOf(entry);
  const length = lengthOf(entry);
  store<u32>(bench, <u32>entry);
  store<u32>(bench, <u32>length, 4);
  store<u64>(bench, (<u64>2 << length) - 1, 8);
  const keys = bench + keysAt;
  const keysEnd = keys + ((length + 15) & ~15) * 4;
  for (let key = keys; key < keysEnd; key += 16) v128.store(key, i32x4.splat(-1));
  const last = length - 1;
  store<u32>(bench + idsAt + (last << 2), byteId(load<u8>(at + last)));
  for (let symbol: usize = 0; symbol < last; symbol++) {
    store<u32>(bench + idsAt + (symbol << 2), byteId(load<u8>(at + symbol)));
    store<u32>(keys + (symbol << 2), keyOf(byteRank(at + symbol), <u32>symbol));
  }
}

/** Merges the leftmost of the pairs with the lowest rank. @returns false if no pair merges */
function step(bench: usize): bool {
  const length = <u32>load<u32>(bench, 4);
  const keys = bench + keysAt;
  const keysEnd = keys + ((<usize>length + 15) & ~15) * 4;
  let lows = i32x4.splat(-1);
  for (let key = keys; key < keysEnd; key += 64) {
    const left = i32x4.min_u(v128.load(key), v128.load(key, 16));
    const right = i32x4.min_u(v128.load(key, 32), v128.load(key, 48));
    lows = i32x4.min_u(lows, i32x4.min_u(left, right));
  }
  lows = i32x4.min_u(lows, v128.shuffle<u32>(lows, lows, 2, 3, 0, 1));
  lows = i32x4.min_u(lows, v128.shuffle<u32>(lows, lows, 1, 0, 3, 2));
  const lowest = <u32>i32x4.extract_lane(lows, 0);
  if (lowest == noMerge) return false;
  const symbol = lowest & 0xff;
  let symbols = load<u64>(bench, 8);
  const swallowed = nextSymbol(symbols, symbol);
  const following = nextSymbol(symbols, swallowed);
  symbols ^= <u64>1 << swallowed;
  store<u64>(bench, symbols, 8);
  const id = product(lowest >> 8);
  store<u32>(bench + idsAt + (<usize>symbol << 2), id);
  store<u32>(keys + (<usize>swallowed << 2), noMerge);
  let key = noMerge;
  if (following < length) key = keyOf(rankOf(id, load<u32>(bench + idsAt + (<usize>following << 2))), symbol);
  store<u32>(keys + (<usize>symbol << 2), key);
  const below = symbols & ((<u64>1 << symbol) - 1);
  if (below != 0) {
    const before = 63 - <u32>clz<u64>(below);
    const other = load<u32>(bench + idsAt + (<usize>before << 2));
    store<u32>(keys + (<usize>before << 2), keyOf(rankOf(other, id), before));
  }
  return true;
}

/** The bit after the last symbol stands for the end of the word. */
@inline function nextSymbol(symbols: u64, symbol: u32): u32 {
  return symbol + 1 + <u32>ctz<u64>(symbols >> (symbol + 1));
}

/** Writes the ids of a merged word into its gap. */
function finish(bench: usize): void {
  const entry = <usize>load<u32>(bench);
  const length = load<u32>(bench, 4);
  let symbols = load<u64>(bench, 8) ^ (<u64>1 << length);
  store<u32>(entry, <u32>popcnt<u64>(symbols), 12);
  for (let out = gapOf(entry); symbols != 0; symbols &= symbols - 1, out += 4) {
    store<u32>(out, load<u32>(bench + idsAt + (<usize>ctz<u64>(symbols) << 2)));
  }
}
