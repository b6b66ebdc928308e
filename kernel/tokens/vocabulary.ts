// Word -> id by open addressing in four bytes a slot. A tenth of a hash in the slot rejects nearly all words that are
// no tokens without another access, which is what merging mostly asks for.

/** Slot: id + 1 in the low bits (0: empty), above it bits of the hash. */
const idBits: u32 = 20;
const idMask: u32 = (1 << idBits) - 1;

let slots: usize = 0;
let slotMask: u32 = 0;
let starts: usize = 0;
let tokenBytes: usize = 0;
export let tokenBytesMax: usize = 0;
let byteIds: usize = 0;

/**
 * @param slotCount a power of two, above the number of words
 * @param startsAt a u32 for each id and one more: where the token starts in `bytesAt`, behind which 16 bytes are readable
 */
export function placeVocabulary(
  slotsAt: usize,
  slotCount: u32,
  startsAt: usize,
  bytesAt: usize,
  bytesMax: usize,
  byteIdsAt: usize,
): void {
  slots = slotsAt;
  slotMask = slotCount - 1;
  starts = startsAt;
  tokenBytes = bytesAt;
  tokenBytesMax = bytesMax;
  byteIds = byteIdsAt;
}

/** Makes a token one that `find` finds, unless another one with equal bytes is. */
export function addWord(id: u32): void {
  const at = tokenStart(id);
  const end = tokenStart(id + 1);
  const hash = hashOf(at, end);
  if (find(at, end, hash) != -1) return;
  let slot = <u32>hash & slotMask;
  while (load<u32>(slots + (slot << 2)) != 0) slot = (slot + 1) & slotMask;
  store<u32>(slots + (slot << 2), (id + 1) | (<u32>(hash >> 32) & ~idMask));
}

/** Id of the word with exactly these bytes, or -1. @param hash their `hashOf` */
export function find(at: usize, end: usize, hash: u64): i32 {
  const sign = <u32>(hash >> 32) & ~idMask;
  let slot = <u32>hash & slotMask;
  while (true) {
    const entry = load<u32>(slots + (slot << 2));
    if (entry == 0) return -1;
    if ((entry & ~idMask) == sign) {
      const id = (entry & idMask) - 1;
      const own = load<u32>(starts + (id << 2));
      if (load<u32>(starts + (id << 2), 4) - own == <u32>(end - at) && equal(tokenBytes + own, at, end - at)) return id;
    }
    slot = (slot + 1) & slotMask;
  }
}

/** Where the bytes of a token are, up to those of the next id. */
@inline export function tokenStart(id: u32): usize {
  return tokenBytes + load<u32>(starts + (id << 2));
}

@inline export function byteId(byte: u32): u32 {
  return load<u32>(byteIds + (byte << 2));
}

const prime1: u64 = 0x9e3779b185ebca87;
const prime2: u64 = 0xc2b2ae3d27d4eb4f;

/** Sixteen bytes of ones before sixteen of zeros. */
const ones: usize = memory.data<u64>([0xffffffffffffffff, 0xffffffffffffffff, 0, 0]);

/** The bytes of a word of at most 16; missing ones are 0. Bytes behind it are read. */
@inline export function shortBytes(at: usize, length: usize): v128 {
  return v128.and(v128.load(at), v128.load(ones + 16 - length));
}

/** Of the bytes of a word of at most 16 bytes. */
@inline export function shortHash(bytes: v128, length: usize): u64 {
  let hash = (<u64>i64x2.extract_lane(bytes, 0) ^ (<u64>length << 56)) * prime1;
  hash = (hash ^ (hash >> 32) ^ <u64>i64x2.extract_lane(bytes, 1)) * prime2;
  return hash ^ (hash >> 29);
}

/** Of any bytes. */
export function hashOf(at: usize, end: usize): u64 {
  const length = end - at;
  if (length <= 16) return shortHash(shortBytes(at, length), length);
  let hash: u64 = length;
  for (; at + 8 < end; at += 8) {
    hash = (hash ^ load<u64>(at)) * prime1;
    hash ^= hash >> 32;
  }
  hash = (hash ^ load<u64>(end - 8)) * prime2;
  return hash ^ (hash >> 29);
}

export function equal(one: usize, other: usize, length: usize): bool {
  if (length <= 16) return !v128.any_true(v128.and(v128.xor(v128.load(one), v128.load(other)), v128.load(ones + 16 - length)));
  const last = length - 16;
  for (let at: usize = 0; at < last; at += 16) {
    if (v128.any_true(v128.xor(v128.load(one + at), v128.load(other + at)))) return false;
  }
  return !v128.any_true(v128.xor(v128.load(one + last), v128.load(other + last)));
}
