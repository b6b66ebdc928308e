// Removals read as one event are the same blocks in the same order, and nothing else is joined.

import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { KvBatchReader, ownCopy } from '../../src/wire/kv-events.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Few hashes, so that some come twice, in every form. */
const hash = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(2n ** 63n, 2n ** 63n + 1n, 2n ** 64n - 1n) },
  fc.constantFrom<number | bigint | Buffer>(5, 300, 70_000, -3, -(2n ** 40n), Buffer.alloc(32, 7), Buffer.alloc(9, 1)),
  fc.constantFrom<unknown>(Buffer.alloc(4), 'text', null),
);
const hashes = fc.oneof({ weight: 4, arbitrary: fc.tuple(hash) }, fc.array(hash, { maxLength: 3 }));
const removal = fc.tuple(
  fc.constant('BlockRemoved'),
  hashes,
  fc.constantFrom('GPU', 'GPU', 'GPU', null, 'CPU'),
  fc.constantFrom(0, 0, 0, 1),
);
const other = fc.constantFrom<readonly unknown[]>(
  ['AllBlocksCleared'],
  ['BlockStored', [2n ** 63n], null, [1, 2], 2, null],
  ['BlockMoved', [1n]],
);
const asMap = ([type, blockHashes, medium, groupIdx]: readonly unknown[]): object => ({
  type,
  block_hashes: blockHashes,
  medium,
  group_idx: groupIdx,
});
const event = fc.oneof(
  { weight: 5, arbitrary: removal.map(asMap) },
  { weight: 2, arbitrary: removal },
  { weight: 1, arbitrary: other },
);
/** Some events are repeated, so that equal ones stand in a row. */
const batches = fc
  .array(fc.tuple(event, fc.integer({ min: 1, max: 4 })), { maxLength: 12 })
  .map((events) => events.flatMap(([one, times]) => Array.from({ length: times }, () => one)));

/** Neighbouring removals made one, whether or not the reader joined them. */
function read(events: readonly unknown[], joinedMax: number): { told: unknown[]; reads: number } {
  const reader = new KvBatchReader(packr.pack([1.5, events, 0]));
  reader.open(Number.POSITIVE_INFINITY);
  const told: unknown[] = [];
  let removed: number[] | null = null;
  let reads = 0;
  for (let one = reader.next(joinedMax); one !== null; one = reader.next(joinedMax)) {
    reads++;
    if (typeof one === 'object' && one.kind === 'removed') {
      if (removed === null) {
        removed = [];
        told.push(removed);
      }
      removed.push(...one.hashes);
      continue;
    }
    removed = null;
    told.push(typeof one === 'string' ? one : ownCopy(one));
  }
  return { told, reads };
}

describe('joined removals', () => {
  it('are the same blocks as single ones, in the same order among all events', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 40 }), (events, joinedMax) => {
        expect(read(events, joinedMax).told).toEqual(read(events, 0).told);
      }),
      { numRuns: 1000 },
    );
  });

  it('are one event where an engine evicts blocks of one kind, at most as many as asked for', () => {
    const evicted = Array.from({ length: 100 }, (_, i) => asMap(['BlockRemoved', [2n ** 63n + BigInt(i)], 'GPU', 1]));
    expect(read(evicted, 255).reads).toBe(1);
    expect(read(evicted, 9).reads).toBe(10);
    expect(read(evicted, 0).reads).toBe(100);
    expect(read(evicted, 255).told).toEqual(read(evicted, 0).told);
    const digests = Array.from({ length: 50 }, (_, i) => ['BlockRemoved', [Buffer.alloc(32, i)], 'GPU', 0]);
    expect(read(digests, 255).reads).toBe(1);
    expect(read(digests, 255).told).toEqual(read(digests, 0).told);
  });
});
