// Byte-pair merging of one word: the merge with the lowest rank first, the leftmost among equals.

import { byteId, find, hashOf, tokenStart } from './vocabulary';

/** Rank of a pair that does not merge: after all others. */
export const noMerge: u32 = u32.MAX_VALUE;
/** Words with more bytes use a heap to find the next merge, shorter ones a scan of all pairs. */
const scannedBytesMax: usize = 192;

/** A u32 for each pair of bytes. */
let byteRanks: usize = 0;
/** Eight bytes a slot: left id (20 bits), right id (20), rank + 1 (24); 0: empty. */
let pairs: usize = 0;
let pairMask: u32 = 0;
/** Two bits of one u32 for each pair: nearly all pairs that do not merge are told apart by this smaller table. */
let pairBits: usize = 0;
let pairBitsShift: u32 = 0;
/** The last merge of the latest word, in the form of a slot. */
let lastMerged: u64 = 0;
/** The token that each rank produces; at address 0 if that is the rank itself. */
let products: usize = 0;
/** Columns of `symbolsMax` numbers, and a heap of twice as many. */
let ids: usize = 0;
let ranks: usize = 0;
let nexts: usize = 0;
let previouses: usize = 0;
let heap: usize = 0;
let heapSize: usize = 0;

/** @param scratchAt 32 bytes for each of `symbolsMax` symbols, from a multiple of 8 on */
export function placeMerges(byteRanksAt: usize, productsAt: usize, scratchAt: usize, symbolsMax: usize): void {
  byteRanks = byteRanksAt;
  products = productsAt;
  heap = scratchAt;
  ids = heap + symbolsMax * 16;
  ranks = ids + symbolsMax * 4;
  nexts = ranks + symbolsMax * 4;
  previouses = nexts + symbolsMax * 4;
}

/** @param at eight and a half bytes a slot, all 0, from a multiple of 8 on @param slotCount a power of two, at least 16 */
export function placePairs(at: usize, slotCount: u32): void {
  pairs = at;
  pairMask = slotCount - 1;
  pairBits = at + (<usize>slotCount << 3);
  pairBitsShift = clz<u32>(pairMask) + 3;
}

/** For a pair that is added twice the later rank counts. */
export function addPair(left: u32, right: u32, rank: u32): void {
  addSlot(pairKey(left, right) | (rank + 1));
}

function addSlot(added: u64): void {
  const hash = pairHash(<u32>(added >> 44), <u32>(added >> 24) & 0xfffff);
  let slot = hash & pairMask;
  for (;;) {
    const entry = load<u64>(pairs + (<usize>slot << 3));
    if (entry == 0 || (entry ^ added) >> 24 == 0) break;
    slot = (slot + 1) & pairMask;
  }
  store<u64>(pairs + (<usize>slot << 3), added);
  const bits = pairBitsOf(hash);
  store<u32>(bits, load<u32>(bits) | twoBits(hash));
}

/**
 * Moves the pairs that really merge to a smaller table: the last merge of each token that its own bytes merge into. No
 * other pair ever stands side by side. For if its tokens did, the bytes of both alone would merge into these two as well,
 * and then into a token by this pair, which is therefore the last merge of that token.
 * @param listAt eight bytes for each of `tokens`, and four for each byte of the longest, from a multiple of 8 on
 * @param at, slotCount as for `placePairs`
 */
export function keepLastMerges(tokens: u32, listAt: usize, at: usize, slotCount: u32): void {
  let end = listAt;
  for (let id: u32 = 0; id < tokens; id++) {
    if (tokenStart(id + 1) - tokenStart(id) < 2) continue;
    const isOne = mergeWord(tokenStart(id), tokenStart(id + 1), end) == end + 4;
    if (!isOne || load<u32>(end) != id) continue;
    store<u64>(end, lastMerged);
    end += 8;
  }
  placePairs(at, slotCount);
  for (let merge = listAt; merge < end; merge += 8) addSlot(load<u64>(merge));
}

@inline function pairKey(left: u32, right: u32): u64 {
  return (<u64>left << 44) | (<u64>right << 24);
}

@inline function pairBitsOf(hash: u32): usize {
  return pairBits + (<usize>(hash >> pairBitsShift) << 2);
}

@inline function twoBits(hash: u32): u32 {
  return (<u32>1 << (hash & 31)) | (<u32>1 << ((hash >> 5) & 31));
}

@inline function pairHash(left: u32, right: u32): u32 {
  let hash = (left * 0x9e3779b1) ^ (right * 0x85ebca77);
  hash ^= hash >> 15;
  return hash * 0x2c1b3c6d;
}

/**
 * Adds the pairs that merge into a token in tiktoken's form: all two words whose concatenation it is, with its id as the
 * rank. @returns how many
 */
export function addSplits(id: u32): u32 {
  const at = tokenStart(id);
  const end = tokenStart(id + 1);
  if (find(at, end, hashOf(at, end)) != id) return 0;
  let count: u32 = 0;
  for (let cut = at + 1; cut < end; cut++) {
    const left = find(at, cut, hashOf(at, cut));
    if (left == -1) continue;
    const right = find(cut, end, hashOf(cut, end));
    if (right == -1) continue;
    addPair(left, right, id);
    count++;
  }
  return count;
}

/** Rank of the merge of two neighbours. */
@inline export function rankOf(left: u32, right: u32): u32 {
  const hash = pairHash(left, right);
  const bits = twoBits(hash);
  if ((load<u32>(pairBitsOf(hash)) & bits) != bits) return noMerge;
  const key = pairKey(left, right);
  let slot = hash & pairMask;
  while (true) {
    const entry = load<u64>(pairs + (<usize>slot << 3));
    if (entry == 0) return noMerge;
    if ((entry ^ key) >> 24 == 0) return (<u32>entry & 0xffffff) - 1;
    slot = (slot + 1) & pairMask;
  }
}

@inline export function product(rank: u32): u32 {
  return products == 0 ? rank : load<u32>(products + (rank << 2));
}

@inline export function byteRank(at: usize): u32 {
  return load<u32>(byteRanks + (((<u32>load<u8>(at) << 8) | <u32>load<u8>(at, 1)) << 2));
}

/** Writes the ids of a word to `out`. @returns the address after them */
export function mergeWord(at: usize, end: usize, out: usize): usize {
  return end - at <= scannedBytesMax ? mergeByScan(at, end, out) : mergeByHeap(at, end, out);
}

/**
 * O(n^2) for n bytes, four pairs at a time. A symbol is identified by the offset of its first byte. `ranks` has keys:
 * rank * 256 + symbol, so that the lowest key is the leftmost of the lowest rank.
 */
function mergeByScan(at: usize, end: usize, out: usize): usize {
  const length = <u32>(end - at);
  const last = length - 1;
  for (let symbol: u32 = 0; symbol < length; symbol++) {
    set(ids, symbol, byteId(load<u8>(at + symbol)));
    set(nexts, symbol, symbol + 1);
    set(previouses, symbol, symbol - 1);
    if (symbol < last) set(ranks, symbol, keyOf(byteRank(at + symbol), symbol));
  }
  const keysEnd = ranks + (<usize>length << 2);
  v128.store(ranks + (<usize>last << 2), i32x4.splat(-1));
  while (true) {
    let lows = i32x4.splat(-1);
    for (let key = ranks; key < keysEnd; key += 16) lows = i32x4.min_u(lows, v128.load(key));
    lows = i32x4.min_u(lows, v128.shuffle<u32>(lows, lows, 2, 3, 0, 1));
    lows = i32x4.min_u(lows, v128.shuffle<u32>(lows, lows, 1, 0, 3, 2));
    const lowest = <u32>i32x4.extract_lane(lows, 0);
    if (lowest == noMerge) break;
    const symbol = lowest & 0xff;
    const swallowed = get(nexts, symbol);
    const following = get(nexts, swallowed);
    const id = product(lowest >> 8);
    lastMerged = pairKey(get(ids, symbol), get(ids, swallowed)) | ((lowest >> 8) + 1);
    set(ids, symbol, id);
    set(nexts, symbol, following);
    set(ranks, swallowed, noMerge);
    let rank = noMerge;
    if (following < length) {
      set(previouses, following, symbol);
      rank = keyOf(rankOf(id, get(ids, following)), symbol);
    }
    set(ranks, symbol, rank);
    const before = get(previouses, symbol);
    if (before != u32.MAX_VALUE) {
      set(ranks, before, keyOf(rankOf(get(ids, before), id), before));
    }
  }
  for (let symbol: u32 = 0; symbol < length; symbol = get(nexts, symbol)) {
    store<u32>(out, get(ids, symbol));
    out += 4;
  }
  return out;
}

@inline export function keyOf(rank: u32, symbol: u32): u32 {
  return rank == noMerge ? noMerge : (rank << 8) | symbol;
}

/** O(n log n) for n bytes. A symbol is identified by the offset of its first byte. */
function mergeByHeap(at: usize, end: usize, out: usize): usize {
  const length = <u32>(end - at);
  heapSize = 0;
  for (let symbol: u32 = 0; symbol < length; symbol++) {
    set(ids, symbol, byteId(load<u8>(at + symbol)));
    set(nexts, symbol, symbol + 1);
    set(previouses, symbol, symbol - 1);
    const rank = symbol + 1 < length ? byteRank(at + symbol) : noMerge;
    set(ranks, symbol, rank);
    if (rank != noMerge) store<u64>(heap + (heapSize++ << 3), (<u64>rank << 32) | symbol);
  }
  for (let index = heapSize >> 1; index > 0; index--) sink(index - 1, load<u64>(heap + ((index - 1) << 3)));
  while (heapSize > 0) {
    const top = load<u64>(heap);
    const rank = <u32>(top >> 32);
    const symbol = <u32>top;
    heapSize--;
    if (heapSize > 0) sink(0, load<u64>(heap + (heapSize << 3)));
    // An entry is outdated if its symbol was merged away or has a new neighbour.
    if (get(ranks, symbol) != rank) continue;
    const swallowed = get(nexts, symbol);
    const following = get(nexts, swallowed);
    lastMerged = pairKey(get(ids, symbol), get(ids, swallowed)) | (rank + 1);
    set(ids, symbol, product(rank));
    set(nexts, symbol, following);
    set(ranks, swallowed, noMerge);
    if (following < length) {
      set(previouses, following, symbol);
      rerank(symbol, following);
    } else {
      set(ranks, symbol, noMerge);
    }
    const before = get(previouses, symbol);
    if (before != u32.MAX_VALUE) rerank(before, symbol);
  }
  for (let symbol: u32 = 0; symbol < length; symbol = get(nexts, symbol)) {
    store<u32>(out, get(ids, symbol));
    out += 4;
  }
  return out;
}

function rerank(symbol: u32, neighbour: u32): void {
  const rank = rankOf(get(ids, symbol), get(ids, neighbour));
  set(ranks, symbol, rank);
  if (rank == noMerge) return;
  const key = (<u64>rank << 32) | symbol;
  let index = heapSize++;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = load<u64>(heap + (parent << 3));
    if (above <= key) break;
    store<u64>(heap + (index << 3), above);
    index = parent;
  }
  store<u64>(heap + (index << 3), key);
}

function sink(from: usize, key: u64): void {
  let index = from;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heapSize) break;
    if (child + 1 < heapSize && load<u64>(heap + (child << 3), 8) < load<u64>(heap + (child << 3))) child++;
    const below = load<u64>(heap + (child << 3));
    if (below >= key) break;
    store<u64>(heap + (index << 3), below);
    index = child;
  }
  store<u64>(heap + (index << 3), key);
}

@inline function get(column: usize, symbol: u32): u32 {
  return load<u32>(column + (<usize>symbol << 2));
}

@inline function set(column: usize, symbol: u32, value: u32): void {
  store<u32>(column + (<usize>symbol << 2), value);
}
