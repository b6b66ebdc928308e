// The index is exact: equal to its naive twin after any events, and right in cases that other routers get wrong.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';
import { BlockHasher, type BlocksStored, type KvEvent, Random } from '../../../src/core/index.ts';
import { NaiveIndex } from '../../model/naive-index.ts';

const hasher = new BlockHasher();

/** Engine handles: equal words for equal names. */
function handles(names: readonly string[]): Uint32Array {
  const words = new Uint32Array(2 * names.length);
  for (const [i, name] of names.entries()) {
    let low = 17;
    for (const character of name) low = Math.imul(low, 31) + character.charCodeAt(0);
    words[2 * i] = low;
    words[2 * i + 1] = name.length;
  }
  return words;
}

/** Blocks of one token each: `tokens[i]` under handle `names[i]`. */
function stored(names: string[], tokens: number[], parent: string | null = null): KvEvent {
  return {
    kind: 'stored',
    hashes: handles(names),
    parent: parent === null ? null : handles([parent]),
    tokens: Uint32Array.from(tokens),
    blockSize: tokens.length / names.length,
    lora: null,
    salt: null,
    extras: null,
  };
}

const removed = (...names: string[]): KvEvent => ({ kind: 'removed', hashes: handles(names) });
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const chainNames = (prefix: string, count: number): string[] => range(0, count).map((i) => `${prefix}${i}`);

function indexOf(workerCount: number): {
  index: PrefixIndex;
  overlaps(tokens: number[], promised?: number[]): number[];
} {
  const index = new PrefixIndex(hasher);
  for (let worker = 0; worker < workerCount; worker++) index.addWorker(worker);
  return {
    index,
    overlaps(tokens, promised = []) {
      const out = new Int32Array(workerCount);
      for (const [worker, blocks] of promised.entries()) out[worker] = blocks;
      index.overlaps(hasher.hash(Uint32Array.from(tokens), 1), out, workerCount);
      index.assertConsistent();
      return [...out];
    },
  };
}

describe('prefix index: cases that known implementations get wrong', () => {
  it('a prompt that diverges in block 5 and has equal contents after it overlaps 5', () => {
    const { index, overlaps } = indexOf(1);
    index.apply(0, stored(chainNames('a', 96), range(0, 96)));
    expect(overlaps([...range(0, 5), 999, ...range(6, 96)])).toEqual([5]);
  });

  it('block 10 of a held chain removed: overlap 10; stored again: 96', () => {
    const { index, overlaps } = indexOf(1);
    index.apply(0, stored(chainNames('a', 96), range(0, 96)));
    index.apply(0, removed('a10'));
    expect(overlaps(range(0, 96))).toEqual([10]);
    index.apply(0, stored(['a10'], [10], 'a9'));
    expect(overlaps(range(0, 96))).toEqual([96]);
  });

  it('one worker with 20 blocks and another with 96 and a hole: 20, and up to the hole', () => {
    const { index, overlaps } = indexOf(2);
    index.apply(0, stored(chainNames('a', 20), range(0, 20)));
    index.apply(1, stored(chainNames('b', 96), range(0, 96)));
    index.apply(1, removed('b40'));
    expect(overlaps(range(0, 96))).toEqual([20, 40]);
  });

  it('of two stored copies one removed: still held', () => {
    const { index, overlaps } = indexOf(1);
    index.apply(0, stored(['a0', 'a1'], [0, 1]));
    index.apply(0, stored(['a1'], [1], 'a0'));
    index.apply(0, removed('a1'));
    expect(overlaps([0, 1])).toEqual([2]);
    index.apply(0, removed('a1'));
    expect(overlaps([0, 1])).toEqual([1]);
  });

  it('two handles for one content: held until both are removed', () => {
    const { index, overlaps } = indexOf(1);
    index.apply(0, stored(['a'], [7]));
    index.apply(0, stored(['b'], [7]));
    expect(index.heldBlocks(0)).toBe(1);
    index.apply(0, removed('a'));
    expect(overlaps([7])).toEqual([1]);
    index.apply(0, removed('b'));
    expect(overlaps([7])).toEqual([0]);
  });

  it('churn at a constant number of held blocks takes constant memory', () => {
    const { index } = indexOf(1);
    for (let i = 0; i < 1000; i++) index.apply(0, stored([`a${i}`], [i]));
    const bytes = index.bytes;
    for (let i = 1000; i < 50_000; i++) {
      index.apply(0, removed(`a${i - 1000}`));
      index.apply(0, stored([`a${i}`], [i]));
    }
    expect(index.heldBlocks(0)).toBe(1000);
    expect(index.bytes).toBe(bytes);
  });

  it('a holder of block 0 alone has an overlap of 1, not of every block', () => {
    const { index, overlaps } = indexOf(2);
    index.apply(0, stored(['a0'], [0]));
    expect(overlaps(range(0, 96))).toEqual([1, 0]);
  });
});

describe('prefix index', () => {
  it('drops orphans and reports them; counts unknown removals', () => {
    const { index, overlaps } = indexOf(1);
    expect(index.apply(0, stored(['x', 'y'], [1, 2], 'nowhere'))).toEqual({
      appliedBlocks: 0,
      orphanBlocks: 2,
      unknownBlocks: 0,
    });
    expect(index.apply(0, removed('x'))).toEqual({ appliedBlocks: 0, orphanBlocks: 0, unknownBlocks: 1 });
    expect(overlaps([1, 2])).toEqual([0]);
  });

  it('keeps only the complete blocks of a store with too few tokens', () => {
    const { index } = indexOf(1);
    const event = { ...stored(['a', 'b'], [1, 2, 3, 4]), tokens: Uint32Array.from([1, 2, 3]) } as KvEvent;
    expect(index.apply(0, event)).toEqual({ appliedBlocks: 1, orphanBlocks: 1, unknownBlocks: 0 });
  });

  it('separates salted, LoRA and media blocks from plain ones', () => {
    const { index, overlaps } = indexOf(4);
    const plain = stored(['a', 'b'], [1, 2]);
    index.apply(0, plain);
    index.apply(1, { ...plain, salt: 's' } as KvEvent);
    index.apply(2, { ...plain, lora: 'l' } as KvEvent);
    index.apply(3, { ...plain, extras: [null, 'image'] } as KvEvent);
    expect(overlaps([1, 2])).toEqual([2, 0, 0, 1]);
    const out = new Int32Array(4);
    index.overlaps(hasher.hash(Uint32Array.from([1, 2]), 1, { salt: 's' }), out, 4);
    expect([...out]).toEqual([0, 2, 0, 0]);
  });

  it('widens its rows for more workers without losing content', () => {
    const { index, overlaps } = indexOf(200);
    index.apply(3, stored(['a'], [1]));
    index.apply(199, stored(['a'], [1]));
    index.addWorker(200);
    const found = overlaps([1]);
    expect([found[3], found[199], found[0]]).toEqual([1, 1, 0]);
    index.removeWorker(199);
    expect(overlaps([1])[3]).toBe(1);
    // Every block that is left has a holder.
    index.assertConsistent();
    index.removeWorker(3);
    index.assertConsistent();
    expect(overlaps([1])[3]).toBe(0);
  });

  // Each took minutes when the entries went to a small table in the order of the large one.
  it('takes a 33rd worker, and loses one whose handles are hashes, while very many blocks are held', () => {
    const random = new Random(1);
    const index = new PrefixIndex(hasher);
    for (let worker = 0; worker < 32; worker++) index.addWorker(worker);
    const blocks = 400_000;
    const sequence = Uint32Array.from({ length: 2 * blocks }, () => random.below(2 ** 32));
    index.apply(3, {
      kind: 'stored',
      hashes: sequence,
      sequence,
      parent: null,
      tokens: new Uint32Array(0),
      blockSize: 16,
      lora: null,
      salt: null,
      extras: null,
    });
    index.addWorker(32);
    expect(index.heldBlocks(3)).toBe(blocks);
    index.apply(32, stored(['a', 'b'], [1, 2]));
    index.clear(3);
    index.assertConsistent();
    expect([index.heldBlocks(3), index.heldBlocks(32)]).toEqual([0, 2]);
    // The memory is given back with later events.
    for (let event = 0; event < 1000; event++) index.apply(32, stored(['a', 'b'], [1, 2]));
    index.assertConsistent();
    expect(index.bytes).toBeLessThan(50_000);
  });

  it('a cleared worker holds nothing at once, while its blocks are taken apart, also if it stores them again', () => {
    const { index } = indexOf(34);
    const blocks = 6000;
    const tokens = Uint32Array.from({ length: blocks }, (_, i) => i);
    const hashes = hasher.hash(tokens, 1);
    const event = (from: number, to: number): KvEvent => ({
      kind: 'stored',
      hashes: Uint32Array.from({ length: 2 * (to - from) }, (_, i) => 2 * from + i + 1),
      sequence: hashes.sequence.slice(2 * from, 2 * to),
      parent: null,
      tokens: new Uint32Array(0),
      blockSize: 1,
      lora: null,
      salt: null,
      extras: null,
    });
    const leading = (): number[] => {
      const out = new Int32Array(34);
      index.overlaps(hashes, out, 34);
      return [out[0]!, out[1]!, out[33]!];
    };
    index.apply(0, event(0, blocks));
    index.apply(33, event(0, 100));
    expect(leading()).toEqual([blocks, 0, 100]);
    index.apply(0, { kind: 'cleared' });
    index.assertConsistent();
    expect(leading()).toEqual([0, 0, 100]);
    expect([0, 1, 33].map((worker) => index.heldBlocks(worker))).toEqual([0, 0, 100]);
    for (let at = 0; at < 12; at++) {
      // Some of them again, on its own and on another worker, while others are still to be taken apart.
      index.apply(at % 2, event(500 * at, 500 * at + 250));
      index.assertConsistent();
    }
    expect([0, 1, 33].map((worker) => index.heldBlocks(worker))).toEqual([1500, 1500, 100]);
    expect(leading()).toEqual([250, 0, 100]);
    index.removeWorker(33);
    index.apply(0, { kind: 'cleared' });
    index.apply(1, { kind: 'cleared' });
    expect(leading()).toEqual([0, 0, 0]);
    for (let at = 0; at < 20; at++) index.apply(0, event(0, 1));
    index.assertConsistent();
    expect(leading()).toEqual([1, 0, 0]);
    expect(index.bytes).toBeLessThan(50_000);
  });

  it('equals the naive twin after any events: duplicates, orphans, holes, clears, two handles for one block', () => {
    const workerCount = 34;
    const worker = fc.constantFrom(0, 1, 33);
    // Few chains over few tokens, so that events interact: the path names the block, the seed its engine's hash.
    const path = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 6 });
    const flavour = fc.constantFrom('', '', '', "'");
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('store'), worker, path, flavour, from: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('repeat'), worker, path, flavour, from: fc.nat(5) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove'), worker, path, flavour, from: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('removeTwice'), worker, path, flavour, from: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear'), worker, path, flavour, from: fc.nat(5) }) },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(path, { maxLength: 8 }),
        fc.array(fc.nat(6), { maxLength: 34 }),
        (steps, queries, promised) => {
          const { index, overlaps } = indexOf(workerCount);
          const twin = new NaiveIndex();
          for (const { kind, worker: at, path: blocks, flavour: mark, from } of steps) {
            const name = (length: number): string => `${blocks.slice(0, length).join('.')}${mark}`;
            const start = Math.min(from, blocks.length - 1);
            const names = range(start, blocks.length).map((i) => name(i + 1));
            // One handle twice in an event.
            if (kind === 'repeat') names[names.length - 1] = names[0]!;
            const event: KvEvent =
              kind === 'clear'
                ? { kind: 'cleared' }
                : kind === 'remove'
                  ? removed(...names.reverse())
                  : kind === 'removeTwice'
                    ? removed(...names, ...names)
                    : stored(names, blocks.slice(start), start === 0 ? null : name(start));
            const copies = twin.copies(at);
            const { appliedBlocks } = index.apply(at, event);
            twin.apply(at, event);
            if (event.kind === 'removed') expect(appliedBlocks).toBe(copies - twin.copies(at));
          }
          index.assertConsistent();
          for (const query of queries) {
            const padded = Array.from({ length: workerCount }, (_, w) => Math.min(promised[w] ?? 0, query.length));
            expect(overlaps(query)).toEqual(padded.map((_, w) => twin.overlap(w, query, 1)));
            expect(overlaps(query, padded)).toEqual(padded.map((p, w) => twin.overlap(w, query, 1, p)));
          }
          for (const w of [0, 1, 33]) expect(index.heldBlocks(w)).toBe(twin.heldBlocks(w));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('equals the naive twin if handles are sequence hashes: copies, removals, clears', () => {
    const workerCount = 34;
    const path = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 6 });
    const step = fc.record({
      kind: fc.constantFrom('store', 'store', 'store', 'remove', 'remove', 'clear'),
      worker: fc.constantFrom(0, 1, 33),
      path,
      from: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(path, { maxLength: 8 }), (steps, queries) => {
        const { index, overlaps } = indexOf(workerCount);
        const twin = new NaiveIndex();
        for (const { kind, worker, path: blocks, from } of steps) {
          const { sequence } = hasher.hash(Uint32Array.from(blocks), 1);
          const names = range(0, blocks.length).map((i) => blocks.slice(0, i + 1).join('.'));
          const start = Math.min(from, blocks.length - 1);
          if (kind === 'store') {
            const event = stored(names, blocks) as BlocksStored;
            index.apply(worker, { ...event, hashes: sequence, sequence, tokens: new Uint32Array(0) });
            twin.apply(worker, event);
          } else if (kind === 'remove') {
            // Each block twice at times.
            const times = from % 3 === 0 ? 2 : 1;
            const gone = Array.from({ length: times }, () => [...sequence.slice(2 * start)]).flat();
            const outcome = index.apply(worker, { kind: 'removed', hashes: Uint32Array.from(gone) });
            const before = twin.copies(worker);
            for (let time = 0; time < times; time++) twin.apply(worker, removed(...names.slice(start)));
            expect(outcome.appliedBlocks).toBe(before - twin.copies(worker));
          } else {
            index.apply(worker, { kind: 'cleared' });
            twin.apply(worker, { kind: 'cleared' });
          }
          expect(index.toldBlocks(worker)).toBe(twin.heldBlocks(worker));
        }
        for (const query of queries) {
          expect(overlaps(query)).toEqual(range(0, workerCount).map((w) => twin.overlap(w, query, 1)));
        }
        for (const worker of [0, 1, 33]) expect(index.heldBlocks(worker)).toBe(twin.heldBlocks(worker));
      }),
      { numRuns: 300 },
    );
  });
});
