// The hash kernel of src/core/blocks/block-hash.ts, in AssemblyScript: XXH64 (Collet, seed 0) over blocks of token ids.
// Built by scripts/build-kernel.mjs into src/core/blocks/block-hash-kernel.generated.ts.

const prime1: u64 = 0x9e3779b185ebca87;
const prime2: u64 = 0xc2b2ae3d27d4eb4f;
const prime3: u64 = 0x165667b19e3779f9;
const prime4: u64 = 0x85ebca77c2b2ae63;
const prime5: u64 = 0x27d4eb2f165667c5;

@inline function round(acc: u64, lane: u64): u64 {
  return rotl<u64>(acc + lane * prime2, 31) * prime1;
}

@inline function merge(hash: u64, acc: u64): u64 {
  return (hash ^ round(0, acc)) * prime1 + prime4;
}

@inline function avalanche(hash: u64): u64 {
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

/** XXH64 of `length` bytes at `at`, seed 0. */
export function bytes(at: usize, length: usize): u64 {
  const end = at + length;
  let hash: u64;
  if (length >= 32) {
    let a: u64 = prime1 + prime2;
    let b: u64 = prime2;
    let c: u64 = 0;
    let d: u64 = 0 - prime1;
    const last = end - 32;
    do {
      a = round(a, load<u64>(at));
      b = round(b, load<u64>(at, 8));
      c = round(c, load<u64>(at, 16));
      d = round(d, load<u64>(at, 24));
      at += 32;
    } while (at <= last);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else {
    hash = prime5;
  }
  hash += <u64>length;
  while (at + 8 <= end) {
    hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * prime1 + prime4;
    at += 8;
  }
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * prime1), 23) * prime2 + prime3;
    at += 4;
  }
  while (at < end) {
    hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * prime5), 11) * prime1;
    at++;
  }
  return avalanche(hash);
}

/** XXH64 of 64 bytes at `at`, seed 0: without a branch, so that the processor works on the next blocks meanwhile. */
@inline function bytes64(at: usize): u64 {
  const a = round(round(prime1 + prime2, load<u64>(at)), load<u64>(at, 32));
  const b = round(round(prime2, load<u64>(at, 8)), load<u64>(at, 40));
  const c = round(round(0, load<u64>(at, 16)), load<u64>(at, 48));
  const d = round(round(0 - prime1, load<u64>(at, 24)), load<u64>(at, 56));
  const hash: u64 = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  return avalanche(merge(merge(merge(merge(hash, a), b), c), d) + 64);
}

/** XXH64 of the 16 bytes parent || block, seed 0. */
@inline function link(parent: u64, block: u64): u64 {
  let hash: u64 = prime5 + 16;
  hash = rotl<u64>(hash ^ round(0, parent), 27) * prime1 + prime4;
  hash = rotl<u64>(hash ^ round(0, block), 27) * prime1 + prime4;
  return avalanche(hash);
}

/**
 * Sequence hashes of `count` consecutive blocks of `blockBytes` bytes each, from `at` on. `out` contains the parent's
 * sequence hash; the new hashes are written after it.
 */
export function sequence(at: usize, count: i32, blockBytes: usize, out: usize): void {
  let parent = load<u64>(out);
  if (blockBytes === 64) {
    for (let i = 0; i < count; i++) {
      parent = link(parent, bytes64(at));
      at += 64;
      out += 8;
      store<u64>(out, parent);
    }
    return;
  }
  for (let i = 0; i < count; i++) {
    parent = link(parent, bytes(at, blockBytes));
    at += blockBytes;
    out += 8;
    store<u64>(out, parent);
  }
}

/** XXH64 of the bytes at `at`, written to `out`. */
export function bytesTo(at: usize, length: usize, out: usize): void {
  store<u64>(out, bytes(at, length));
}
