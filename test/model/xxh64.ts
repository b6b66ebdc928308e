// XXH64 by its specification, in BigInt: the naive twin of the hash kernel.

const word = (1n << 64n) - 1n;
const p1 = 0x9e3779b185ebca87n;
const p2 = 0xc2b2ae3d27d4eb4fn;
const p3 = 0x165667b19e3779f9n;
const p4 = 0x85ebca77c2b2ae63n;
const p5 = 0x27d4eb2f165667c5n;

const rotate = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & word;
const round = (acc: bigint, lane: bigint): bigint => (rotate((acc + lane * p2) & word, 31n) * p1) & word;
const merge = (hash: bigint, acc: bigint): bigint => ((hash ^ round(0n, acc)) * p1 + p4) & word;

export function xxh64(bytes: Uint8Array, seed = 0n): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash: bigint;
  if (bytes.length >= 32) {
    const lanes = [(seed + p1 + p2) & word, (seed + p2) & word, seed, (seed - p1) & word];
    for (; at + 32 <= bytes.length; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane]!, view.getBigUint64(at + 8 * lane, true));
    }
    hash = (rotate(lanes[0]!, 1n) + rotate(lanes[1]!, 7n) + rotate(lanes[2]!, 12n) + rotate(lanes[3]!, 18n)) & word;
    for (const lane of lanes) hash = merge(hash, lane);
  } else {
    hash = (seed + p5) & word;
  }
  hash = (hash + BigInt(bytes.length)) & word;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4) & word;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * p1) & word), 23n) * p2 + p3) & word;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at]!) * p5) & word), 11n) * p1) & word;
  hash = ((hash ^ (hash >> 33n)) * p2) & word;
  hash = ((hash ^ (hash >> 29n)) * p3) & word;
  return hash ^ (hash >> 32n);
}
