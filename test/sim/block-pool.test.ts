// The block pool against its naive twin.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockPool } from '../../src/sim/index.ts';
import { NaiveBlockPool } from '../model/kv-block-pool.ts';

describe('BlockPool', () => {
  it('equals its naive twin after every operation', () => {
    const operation = fc.record({
      kind: fc.constantFrom('allocate', 'allocate', 'free', 'free', 'touch', 'cache', 'cache', 'clear'),
      pick: fc.nat(),
      content: fc.nat({ max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.boolean(),
        fc.array(operation, { maxLength: 150 }),
        (blockCount, freeUnhashedFirst, operations) => {
          const evicted: string[] = [];
          const pool = new BlockPool(blockCount, freeUnhashedFirst, (low, high) => evicted.push(`${low}:${high}`));
          const naive = new NaiveBlockPool(blockCount, freeUnhashedFirst);
          for (const { kind, pick, content } of operations) {
            // Few distinct contents, all of them in one bucket of the hash table.
            const low = 0;
            const high = content * 1024;
            const used = naive.references.flatMap((count, block) => (count > 0 ? [block] : []));
            const block = used[pick % Math.max(1, used.length)];
            switch (kind) {
              case 'allocate':
                if (naive.free.length > 0) expect(pool.allocate()).toBe(naive.allocate());
                break;
              case 'free':
                if (block === undefined) break;
                pool.free(block);
                naive.release(block);
                break;
              case 'touch': {
                const hit = pool.find(low, high);
                expect(hit).toBe(naive.find(`${low}:${high}`));
                if (hit === 0) break;
                pool.touch(hit);
                naive.touch(hit);
                break;
              }
              case 'cache':
                if (block === undefined || naive.held[block] !== null) break;
                pool.cache(block, low, high);
                naive.cache(block, `${low}:${high}`);
                break;
              case 'clear':
                expect(pool.clear()).toBe(naive.clear());
                break;
            }
            expect(pool.freeQueue()).toEqual(naive.free);
            expect(pool.freeCount).toBe(naive.free.length);
            expect(evicted).toEqual(naive.evicted);
            expect(pool.contents().map(([l, h]) => `${l}:${h}`)).toEqual(naive.held.filter((held) => held !== null));
          }
        },
      ),
    );
  });

  it('refuses calls that would corrupt it', () => {
    const pool = new BlockPool(3, true, () => {});
    expect(() => pool.free(1)).toThrow('free already');
    expect(() => pool.cache(1, 1, 1)).toThrow('free or holds content');
    const block = pool.allocate();
    pool.cache(block, 1, 1);
    expect(() => pool.cache(block, 2, 2)).toThrow('free or holds content');
    pool.allocate();
    expect(() => pool.allocate()).toThrow('no free block');
    expect(() => new BlockPool(1, true, () => {})).toThrow('blockCount');
  });

  it('reports its usage without the null block', () => {
    const pool = new BlockPool(5, true, () => {});
    expect(pool.usage).toBe(0);
    pool.allocate();
    expect(pool.usage).toBe(0.25);
  });
});
