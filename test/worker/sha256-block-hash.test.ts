// vLLM's block hash, compared with digests of a real vLLM.

import { describe, expect, it } from 'vitest';
import { sha256BlockHash } from '../../src/worker/sha256-block-hash.ts';

function hashes(seed: string, salt: string | null, blocks: number): string[] {
  const tokens = Uint32Array.from({ length: blocks * 16 }, (_, index) => index + 1);
  const hasher = sha256BlockHash(seed)(null, salt);
  const out = new Uint32Array(blocks * 2);
  return Array.from({ length: blocks }, (_, block) => {
    hasher.next(tokens, block * 16, block * 16 + 16, out, block * 2);
    return ((BigInt(out[block * 2 + 1]!) << 32n) | BigInt(out[block * 2]!)).toString();
  });
}

describe('sha256BlockHash', () => {
  it("equals vLLM's hashes with PYTHONHASHSEED=0", () => {
    expect(hashes('0', null, 2)).toEqual(['3236607068019569386', '2758186210834249151']);
  });

  it("equals vLLM's hashes without a seed", () => {
    expect(hashes('vllm-none-hash', null, 2)).toEqual(['8866452693264111234', '807986237951177663']);
  });

  it('tags the salt, in the first block only', () => {
    expect(hashes('0', 'salt-1', 1)).toEqual(['18080304823740601082']);
    expect(hashes('0', 'salt-1', 2)[1]).not.toBe(hashes('0', null, 2)[1]);
  });

  it('separates sequences that are hashed alternately', () => {
    const hash = sha256BlockHash('0');
    const tokens = Uint32Array.from({ length: 32 }, (_, index) => index + 1);
    const [a, b] = [hash(null, null), hash(null, null)];
    const [outA, outB] = [new Uint32Array(4), new Uint32Array(4)];
    a.next(tokens, 0, 16, outA, 0);
    b.next(tokens, 0, 16, outB, 0);
    a.next(tokens, 16, 32, outA, 2);
    b.next(tokens, 16, 32, outB, 2);
    expect(outA).toEqual(outB);
  });

  it('separates adapters', () => {
    const tokens = new Uint32Array(16);
    const out = new Uint32Array(4);
    sha256BlockHash('0')('a', null).next(tokens, 0, 16, out, 0);
    sha256BlockHash('0')('b', null).next(tokens, 0, 16, out, 2);
    expect(out[0]).not.toBe(out[2]);
  });
});
