// The block pool against its naive twin.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockPool } from '../../src/sim/index.ts';
import { NaiveBlockPool } from '../model/kv-block-pool.ts';

describe('BlockPool', () => {
  it('equals its naive twin after every operation', () => {
    const operation = fc.record({
      kind: fc.constantFrom('allocate', 'allocate', 'free', 'free', 'touch', 'cache', 'cache', 'clear', 'evicted'),
      pick: fc.nat(),
      contents: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 4 }),
    });
    // Few distinct contents, all of them in one bucket of the hash table.
    const hashesOf = (contents: readonly number[]): Uint32Array =>
      Uint32Array.from(contents.flatMap((content) => [0, content * 1024]));
    const named = (hashes: Uint32Array): string[] =>
      Array.from({ length: hashes.length / 2 }, (_, i) => `${hashes[2 * i]}:${hashes[2 * i + 1]}`);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.boolean(),
        fc.array(operation, { maxLength: 150 }),
        (blockCount, freeUnhashedFirst, operations) => {
          const pool = new BlockPool(blockCount, freeUnhashedFirst);
          const naive = new NaiveBlockPool(blockCount, freeUnhashedFirst);
          const evicted: string[] = [];
          for (const { kind, pick, contents } of operations) {
            const hashes = hashesOf(contents);
            const names = named(hashes);
            const used = naive.references.flatMap((count, block) => (count > 0 ? [block] : []));
            // Some blocks in use, each at most once.
            const some = used.slice(pick % Math.max(1, used.length)).slice(0, contents.length);
            const blocks = Int32Array.from(some);
            switch (kind) {
              case 'allocate': {
                const count = Math.min(naive.free.length, contents.length);
                const out = new Int32Array(1 + count);
                pool.allocate(out, 1, 1 + count);
                expect([...out.subarray(1)]).toEqual(Array.from({ length: count }, () => naive.allocate()));
                break;
              }
              case 'free':
                pool.free(blocks, blocks.length);
                for (const block of some.reverse()) naive.release(block);
                break;
              case 'touch': {
                const out = new Int32Array(names.length);
                const found = names.map((name) => naive.find(name));
                const count = pool.findLeading(hashes, names.length, out);
                expect(count).toBe([...found, 0].indexOf(0));
                expect([...out.subarray(0, count)]).toEqual(found.slice(0, count));
                expect(pool.freeAmong(out, count)).toBe(
                  found.slice(0, count).filter((block) => naive.references[block] === 0).length,
                );
                pool.touch(out, count);
                for (const block of found.slice(0, count)) naive.touch(block);
                break;
              }
              case 'cache': {
                const empty = some.filter((block) => naive.held[block] === null);
                pool.cache(Int32Array.from([0, ...empty]), hashesOf([0, ...contents]), 1, 1 + empty.length);
                for (const [i, block] of empty.entries()) naive.cache(block, names[i]!);
                break;
              }
              case 'clear':
                expect(pool.clear()).toBe(naive.clear());
                break;
              case 'evicted':
                expect(pool.hasEvicted).toBe(naive.evicted.length > evicted.length);
                evicted.push(...named(pool.takeEvicted()));
                expect(evicted).toEqual(naive.evicted);
                break;
            }
            expect(pool.freeQueue()).toEqual(naive.free);
            expect(pool.freeCount).toBe(naive.free.length);
            expect(pool.contents().map(([l, h]) => `${l}:${h}`)).toEqual(naive.held.filter((held) => held !== null));
          }
        },
      ),
    );
  });

  it('refuses calls that would corrupt it', () => {
    const pool = new BlockPool(3, true);
    const blocks = Int32Array.of(1, 2, 0);
    const hashes = Uint32Array.of(1, 1, 2, 2, 3, 3);
    expect(() => pool.free(blocks, 1)).toThrow('free already');
    expect(() => pool.cache(blocks, hashes, 0, 1)).toThrow('free or holds content');
    expect(() => pool.allocate(blocks, 0, 3)).toThrow('no free block');
    pool.allocate(blocks, 0, 2);
    pool.cache(blocks, hashes, 0, 1);
    expect(() => pool.cache(blocks, hashes, 0, 1)).toThrow('free or holds content');
    expect(() => pool.allocate(blocks, 2, 3)).toThrow('no free block');
    expect(() => new BlockPool(1, true)).toThrow('blockCount');
  });

  it('reports its usage without the null block', () => {
    const pool = new BlockPool(5, true);
    expect(pool.usage).toBe(0);
    pool.allocate(new Int32Array(1), 0, 1);
    expect(pool.usage).toBe(0.25);
  });
});
