// The table equals a Map under any mix of inserts and removals, and frees memory.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HashTable } from '../../../src/core/blocks/hash-table.ts';

/** Few distinct keys, including special ones, so that probe chains form and break. */
const key = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0, 1, 0xffffffff));

describe('hash table', () => {
  it('equals a Map', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.boolean(), fc.integer({ min: 0, max: 1000 })), { maxLength: 400 }),
        (steps) => {
          const table = new HashTable(2);
          const twin = new Map<string, number>();
          for (const [[low, high], insert, value] of steps) {
            const name = `${low},${high}`;
            if (insert) {
              const at = table.insert(low, high);
              expect(table.inserted).toBe(!twin.has(name));
              table.slots[at + 3] = value;
              twin.set(name, value);
            } else {
              const at = table.find(low, high);
              expect(at >= 0).toBe(twin.delete(name));
              if (at >= 0) table.remove(at);
            }
            expect(table.size).toBe(twin.size);
          }
          for (const [name, value] of twin) {
            const [low, high] = name.split(',').map(Number);
            expect(table.slots[table.find(low!, high!) + 3]).toBe(value);
          }
          let seen = 0;
          for (let at = table.next(0); at >= 0; at = table.next(at + table.stride)) seen++;
          expect(seen).toBe(twin.size);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps its entries while it grows and shrinks, with space for at most eight times as many', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 5000 }), { maxLength: 800 }), fc.nat({ max: 800 }), (keys, removed) => {
        const table = new HashTable(1);
        for (const key of keys) table.slots[table.insert(key, key * 7) + 2] = key + 1;
        const [gone, left] = [keys.slice(0, removed), keys.slice(removed)];
        for (const key of gone) table.remove(table.find(key, key * 7));
        expect(table.bytes).toBeLessThanOrEqual(Math.max(16 * 12, left.length * 8 * 12));
        for (const key of gone) expect(table.find(key, key * 7)).toBe(-1);
        for (const key of left) expect(table.slots[table.find(key, key * 7) + 2]).toBe(key + 1);
      }),
    );
  });

  it('shrinks when it becomes empty', () => {
    const table = new HashTable(1);
    for (let i = 0; i < 100_000; i++) table.insert(i, i);
    const full = table.bytes;
    for (let i = 0; i < 100_000; i++) table.remove(table.find(i, i));
    expect(table.size).toBe(0);
    expect(table.bytes).toBeLessThan(full / 1000);
  });

  it('keeps its size under churn at a constant number of entries', () => {
    const table = new HashTable(1);
    for (let i = 0; i < 1000; i++) table.insert(i, 7);
    const bytes = table.bytes;
    for (let i = 0; i < 200_000; i++) {
      table.remove(table.find(i, 7));
      table.insert(i + 1000, 7);
    }
    expect(table.bytes).toBe(bytes);
  });
});
