import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SequenceNumbering } from '../../src/trace/sequence-numbering.ts';

const number = (numbering: SequenceNumbering, hash: number): number =>
  numbering.numbers(Uint32Array.of(hash, hash ^ 0x5555), 1)[0]!;

describe('SequenceNumbering', () => {
  it('numbers hashes in order of first appearance', () => {
    const numbering = new SequenceNumbering();
    expect([7, 9, 7, 0, 9].map((hash) => number(numbering, hash))).toEqual([0, 1, 0, 2, 1]);
    expect(numbering.count).toBe(3);
  });

  it('keeps the number of the hash with which its table grows', () => {
    const numbering = new SequenceNumbering();
    const hashes = Array.from({ length: 100 }, (_, i) => i + 1);
    const given = hashes.map((hash) => number(numbering, hash));
    expect(hashes.map((hash) => number(numbering, hash))).toEqual(given);
    expect(new Set(given).size).toBe(100);
  });

  it('never exceeds its bound, and never gives two hashes one number', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 200 }),
        fc.integer({ min: 2, max: 10 }),
        (hashes, blocksMax) => {
          const numbering = new SequenceNumbering(blocksMax);
          const hashOf = new Map<number, number>();
          for (const hash of hashes) {
            const given = number(numbering, hash);
            expect(hashOf.get(given) ?? hash).toBe(hash);
            hashOf.set(given, hash);
            expect(numbering.size).toBeLessThanOrEqual(blocksMax);
          }
        },
      ),
    );
  });

  it('remembers at least the last half of its bound', () => {
    const numbering = new SequenceNumbering(8);
    const given = [1, 2, 3, 4].map((hash) => number(numbering, hash));
    for (let older = 5; older < 50; older++) {
      expect([1, 2, 3, 4].map((hash) => number(numbering, hash))).toEqual(given);
    }
    for (let hash = 100; hash < 120; hash++) number(numbering, hash);
    expect(number(numbering, 1)).toBe(numbering.count - 1);
  });
});
