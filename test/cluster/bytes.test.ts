// What the writer wrote, the reader reads: integers, texts of any script, hashes in arrays of their own or shared.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ByteReader, Unreadable } from '../../src/cluster/byte-reader.ts';
import { ByteWriter } from '../../src/cluster/byte-writer.ts';

const item = fc.oneof(
  fc.record({ kind: fc.constant('integer' as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('text' as const), value: fc.string({ unit: 'binary', maxLength: 200 }) }),
  fc.record({
    kind: fc.constant('hashes' as const),
    value: fc.uint32Array({ maxLength: 700 }).map((words) => words.subarray(0, words.length & ~1)),
  }),
);

it('reads back what was written, and every array stays as it was read', () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 20 }), (items) => {
      const writer = new ByteWriter();
      for (const { kind, value } of items) {
        if (kind === 'integer') writer.integer(value);
        else if (kind === 'text') writer.text(value);
        else writer.hashes(value, value.length >>> 1);
      }
      const reader = new ByteReader(writer.take());
      const read = items.map(({ kind }) => {
        if (kind === 'integer') return reader.integer();
        return kind === 'text' ? reader.text(1000) : reader.hashes(1000);
      });
      expect(read).toEqual(items.map(({ value }) => value));
      expect(reader.isAtEnd).toBe(true);
    }),
  );
});

it('a prompt that is kept holds at most 4 KB of its message besides its own hashes', () => {
  const writer = new ByteWriter();
  for (let i = 0; i < 100; i++) writer.hashes(new Uint32Array(200).fill(i), 100);
  const reader = new ByteReader(writer.take());
  for (let i = 0; i < 100; i++) expect(reader.hashes(100).buffer.byteLength).toBeLessThanOrEqual(4096);
  expect(() => reader.hashes(100)).toThrow(Unreadable);
});
