// Values of KV events for the tests of their codec.

import type { BlocksStored } from '../../src/core/types.ts';
import { decodeKvBatch, type KvBatch } from '../../src/wire/kv-events.ts';

export const timestampS = 1757500000.25;
export const sampleHash = 0xdeadbeef12345678n;
export const allOnes = 0xffffffffffffffffn;

export function decoded(hex: string): KvBatch {
  const batch = decodeKvBatch(Buffer.from(hex, 'hex'));
  if (batch.kind !== 'batch') throw new Error(batch.reason);
  return batch;
}

/** Two words (low, high) per hash. */
export function words(...hashes: bigint[]): Uint32Array {
  return Uint32Array.from(
    hashes.flatMap((hash) => [Number(BigInt.asUintN(32, hash)), Number(BigInt.asUintN(64, hash) >> 32n)]),
  );
}

export function stored(fields: Partial<BlocksStored>): BlocksStored {
  return {
    kind: 'stored',
    hashes: words(7n),
    parent: null,
    tokens: Uint32Array.of(1, 2, 3, 4),
    blockSize: 4,
    lora: null,
    salt: null,
    extras: null,
    ...fields,
  };
}
