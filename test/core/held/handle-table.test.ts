// The table of handles equals a Map under any mix of single and joint inserts and removals, and frees memory.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { homeOf } from '../../../src/core/held/entry-index.ts';
import { HandleTable } from '../../../src/core/held/handle-table.ts';

/** Few distinct handles, including special ones, so that some come twice. */
const handle = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0, 1, 0xffffffff));
const step = fc.record({
  kind: fc.constantFrom('insert', 'insertAll', 'remove', 'remove', 'clear'),
  handles: fc.array(handle, { minLength: 1, maxLength: 40 }),
});

describe('handle table', () => {
  it('equals a Map', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const table = new HandleTable();
        const twin = new Map<string, number>();
        let value = 0;
        const entered = (low: number, high: number, at: number, isNew: boolean): void => {
          const name = `${low},${high}`;
          expect(isNew).toBe(!twin.has(name));
          expect(table.find(low, high)).toBe(at);
          expect(table.entries[at + 2]).toBe(twin.get(name) ?? 0);
          if (!isNew) return;
          twin.set(name, ++value);
          table.entries[at + 2] = value;
        };
        for (const { kind, handles } of steps) {
          if (kind === 'clear' && handles.length > 30) {
            table.clear();
            twin.clear();
          }
          if (kind === 'insertAll') {
            const offsets = new Int32Array(handles.length);
            table.touch(Uint32Array.from(handles.flat()), 0, 2 * handles.length);
            table.insertAll(Uint32Array.from(handles.flat()), handles.length, offsets);
            for (const [i, [low, high]] of handles.entries()) {
              entered(low, high, offsets[i]! < 0 ? ~offsets[i]! : offsets[i]!, offsets[i]! >= 0);
            }
          }
          for (const [low, high] of handles) {
            if (kind === 'insert') {
              const at = table.insert(low, high);
              entered(low, high, at, table.inserted);
            }
            if (kind === 'remove') {
              const at = table.find(low, high);
              expect(at >= 0).toBe(twin.delete(`${low},${high}`));
              // Also without the search right before it.
              if (low % 2 === 0) table.find(low + 1, high);
              if (at >= 0) table.remove(at);
            }
          }
          expect(table.size).toBe(twin.size);
          table.assertConsistent();
        }
        for (const [name, kept] of twin) {
          const [low, high] = name.split(',').map(Number) as [number, number];
          expect(table.entries[table.find(low, high) + 2]).toBe(kept);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps its entries while it grows and shrinks, with memory for at most ten times as many', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 5000 }), { maxLength: 800 }), fc.nat({ max: 800 }), (keys, removed) => {
        const table = new HandleTable();
        for (const key of keys) table.entries[table.insert(key, key * 7) + 2] = key + 1;
        const [gone, left] = [keys.slice(0, removed), keys.slice(removed)];
        for (const key of gone) table.remove(table.find(key, key * 7));
        table.assertConsistent();
        expect(table.bytes).toBeLessThanOrEqual(1024 + left.length * 10 * 20);
        for (const key of gone) expect(table.find(key, key * 7)).toBe(-1);
        for (const key of left) expect(table.entries[table.find(key, key * 7) + 2]).toBe(key + 1);
      }),
      { numRuns: 100 },
    );
  });

  it('finds and removes handles that lie far from their homes', () => {
    const table = new HandleTable();
    const crowded: [number, number][] = [];
    for (let high = 0; crowded.length < 200; high++) {
      for (let low = 0; low < 64; low++) if (homeOf(low, high, 20) < 4) crowded.push([low, high]);
    }
    for (const [low, high] of crowded) table.entries[table.insert(low, high) + 2] = low;
    for (const [i, [low, high]] of crowded.entries()) {
      if (i % 3 > 0) table.remove(table.find(low, high));
      if (i % 20 === 0) table.assertConsistent();
    }
    for (const [i, [low, high]] of crowded.entries()) expect(table.find(low, high) >= 0).toBe(i % 3 === 0);
  });
});
