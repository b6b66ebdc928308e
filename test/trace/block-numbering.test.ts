import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockNumbering, ChainNumbering } from '../../src/trace/block-numbering.ts';

describe('BlockNumbering', () => {
  it('counts up, and extends only lists that are too short', () => {
    const numbering = new BlockNumbering();
    const system = numbering.run(2);
    expect([...system]).toEqual([0, 1]);
    expect([...numbering.extend(system, 4)]).toEqual([0, 1, 2, 3]);
    expect(numbering.extend(system, 2)).toBe(system);
    expect(numbering.count).toBe(4);
  });
});

describe('ChainNumbering', () => {
  const chains = fc.array(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 }), { maxLength: 12 });

  it('gives two blocks one number exactly if they and all before them have equal source ids', () => {
    fc.assert(
      fc.property(chains, (sources) => {
        const numbering = new BlockNumbering();
        const chain = new ChainNumbering(numbering);
        const numberOfPrefix = new Map<string, number>();
        for (const source of sources) {
          for (const [i, number] of chain.chain(source).entries()) {
            const prefix = source.slice(0, i + 1).join();
            const expected = numberOfPrefix.get(prefix) ?? numberOfPrefix.size;
            expect(number).toBe(expected);
            numberOfPrefix.set(prefix, expected);
          }
        }
        expect(numbering.count).toBe(numberOfPrefix.size);
      }),
    );
  });

  it('adopts the numbers of shared content, for leading blocks and what follows them', () => {
    const numbering = new BlockNumbering();
    const shared = numbering.run(3);
    const one = new ChainNumbering(numbering);
    one.adopt([7, 8], shared);
    const other = new ChainNumbering(numbering);
    other.adopt([100, 101, 102], shared);
    expect([...one.chain([7, 8, 9])]).toEqual([0, 1, 3]);
    expect([...other.chain([100, 101, 102, 103])]).toEqual([0, 1, 2, 4]);
    expect([...other.chain([101])]).toEqual([5]);
  });

  it('adopts nothing after a block that already has another number', () => {
    const numbering = new BlockNumbering();
    const shared = numbering.run(2);
    const chain = new ChainNumbering(numbering);
    expect([...chain.chain([7, 8])]).toEqual([2, 3]);
    chain.adopt([7, 9], shared);
    expect([...chain.chain([7, 9])]).toEqual([2, 4]);
  });
});
