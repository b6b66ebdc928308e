import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';
import { BlockHasher, type BlocksRemoved, type BlocksStored, type KvEvent } from '../../../src/core/index.ts';
import { partBlocksMax, partsOf } from '../../../src/gateway/feeds/event-parts.ts';
import { readBatch } from '../../../src/gateway/feeds/feed-batch.ts';
import { encodeKvBatch, KvEventDecoder } from '../../../src/wire/kv-events.ts';

const hasher = new BlockHasher();
const root = null;

/** Blocks `from` to `to` of a prompt; a block's handle is its number. */
function stored(from: number, to: number, blockSize: number, fields: Partial<BlocksStored> = {}): BlocksStored {
  return {
    kind: 'stored',
    hashes: handles(from, to),
    parent: from === 0 ? root : handles(from - 1, from),
    tokens: Uint32Array.from({ length: (to - from) * blockSize }, (_, i) => from * blockSize + i),
    ...{ blockSize, lora: null, salt: null, extras: null },
    ...fields,
  };
}

function handles(from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: 2 * (to - from) }, (_, i) => (i % 2 === 0 ? from + i / 2 + 1 : 7));
}

/** What an index knows after the events, and what it has said of them. */
function known(pageSize: number, blockSize: number, events: readonly (readonly (BlocksStored | BlocksRemoved)[])[]) {
  const index = new PrefixIndex(hasher);
  index.addWorker(0);
  index.setPages(0, pageSize, blockSize);
  const outcomes = events.map((parts) => {
    const sum = { appliedBlocks: 0, orphanBlocks: 0, unknownBlocks: 0 };
    for (const part of parts) {
      const outcome = index.apply(0, part);
      sum.appliedBlocks += outcome.appliedBlocks;
      sum.orphanBlocks += outcome.orphanBlocks;
      sum.unknownBlocks += outcome.unknownBlocks;
    }
    return sum;
  });
  index.assertConsistent();
  const prompt = Uint32Array.from({ length: 60 * blockSize }, (_, i) => i);
  const leading = index.leadingBlocks(0, hasher.hash(prompt, blockSize));
  return { outcomes, leading, held: index.heldBlocks(0), told: index.toldBlocks(0) };
}

describe('the parts of an event', () => {
  it('mean the same as the whole', () => {
    const blocks = fc.integer({ min: 1, max: 30 });
    const events = fc.record({
      first: blocks,
      second: blocks,
      /** Tokens that the engine left out. */
      missing: fc.oneof(fc.constant(0), fc.nat(20)),
      media: fc.option(fc.nat(29)),
      lost: fc.boolean(),
      removedFrom: fc.nat(40),
      removed: blocks,
      size: fc.integer({ min: 1, max: 9 }),
      pages: fc.constantFrom([1, 4] as const, [4, 4] as const),
    });
    const property = fc.property(events, (one) => {
      const { first, second, missing, media, lost, removedFrom, removed, size, pages } = one;
      const [pageSize, blockSize] = pages;
      const extras = media === null ? null : Array.from({ length: second }, (_, i) => (i === media ? 'image' : null));
      const whole = stored(first, first + second, pageSize, { extras });
      const tokens = whole.tokens.subarray(0, Math.max(0, whole.tokens.length - missing));
      const all: (BlocksStored | BlocksRemoved)[] = [
        ...(lost ? [] : [stored(0, first, pageSize)]),
        { ...whole, tokens },
        { kind: 'removed', hashes: handles(removedFrom, removedFrom + removed) },
      ];
      const inParts = all.map((event) => [...partsOf(event, size)]);
      expect(inParts.flat().every(({ hashes }) => hashes.length <= 2 * size)).toBe(true);
      expect(known(pageSize, blockSize, inParts)).toEqual(
        known(
          pageSize,
          blockSize,
          all.map((event) => [event]),
        ),
      );
    });
    fc.assert(property, { numRuns: 300 });
  });
});

describe('a batch', () => {
  it('leaves the event loop between the parts of a long event, while others use its decoder', async () => {
    const count = 3 * partBlocksMax + 5;
    const decoder = new KvEventDecoder();
    const seen: Exclude<KvEvent, { kind: 'cleared' }>[] = [];
    let turns = 0;
    const other = encodeKvBatch(0, 0, [stored(0, 9, 4)]);
    const none = { signal: new AbortController().signal, unreadable: () => undefined, head: () => undefined };
    const budget = {
      spent: true,
      nextTurn: async () => {
        turns += 1;
        await readBatch(
          other,
          { budget: { spent: false } as never, decoder },
          { ...none, event: () => undefined, skipped: () => undefined },
        );
      },
    };
    const event = stored(0, count, 4);
    await readBatch(
      encodeKvBatch(0, 0, [event, { kind: 'removed', hashes: event.hashes }]),
      { budget: budget as never, decoder },
      { ...none, event: (part) => void seen.push(part as (typeof seen)[number]), skipped: () => undefined },
    );
    expect(turns).toBeGreaterThanOrEqual(8);
    expect(seen.map(({ kind, hashes }) => [kind, hashes.length / 2])).toEqual(
      ['stored', 'removed'].flatMap((kind) => [...new Array(3).fill([kind, partBlocksMax]), [kind, 5]]),
    );
    const tokens = seen.flatMap((part) => (part.kind === 'stored' ? [...part.tokens] : []));
    expect(tokens).toEqual([...event.tokens]);
  });
});
