// SGLang's page hash, compared with test vectors.

import { describe, expect, it } from 'vitest';
import { sglangPageHash } from '../../src/worker/sglang-page-hash.ts';

/** Signed, as events carry them. */
function hashes(tokens: readonly number[], pageSize: number, salt: string | null = null): bigint[] {
  const hasher = sglangPageHash(null, salt);
  return Array.from({ length: tokens.length / pageSize }, (_, page) => {
    const out = new Uint32Array(2);
    hasher.next(Uint32Array.from(tokens), page * pageSize, (page + 1) * pageSize, out, 0);
    return BigInt.asIntN(64, (BigInt(out[1]!) << 32n) | BigInt(out[0]!));
  });
}

describe('sglangPageHash', () => {
  it.each([
    [1, [1, 2, 3], [7470307888890966271n, -1634645291211865391n, 7325169757385981536n]],
    [4, [1, 2, 3, 4, 5, 6, 7, 8], [-3488128144981237669n, 5674439469042975057n]],
  ])('pages of %i', (pageSize, tokens, expected) => {
    expect(hashes(tokens, pageSize)).toEqual(expected);
  });

  it('separates salted content', () => {
    expect(hashes([1, 2], 1, 's')).not.toEqual(hashes([1, 2], 1));
    expect(hashes([1, 2], 1, 's')).toEqual(hashes([1, 2], 1, 's'));
  });
});
