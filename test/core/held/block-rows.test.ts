// Rows of blocks equal a map from keys to sets of workers, whatever is guessed about the order of blocks.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockNumbers, groupSize, newChain, noBlock } from '../../../src/core/held/block-numbers.ts';
import { BlockRows } from '../../../src/core/held/block-rows.ts';
import { homeOf } from '../../../src/core/held/entry-index.ts';

const workers = [0, 1, 33];

/** Lows by high, for keys whose homes lie close together in an index of any size. */
const crowded = Array.from({ length: 2000 }, (_, high) => {
  for (let low = 0; ; low++) if (homeOf(low, high, 22) < 4) return low;
});

/** Keys of even names lie far from their homes, since all these are at the beginning of the index. */
function keyOf(name: number): [low: number, high: number] {
  if (name % 2 === 1 || name >= crowded.length) return [name, Math.imul(name, 0x9e3779b1) >>> 0];
  return [crowded[name]!, name];
}

class Twin {
  readonly holders = new Map<number, Set<number>>();
  hold(worker: number, name: number): boolean {
    const holders = this.holders.get(name) ?? new Set();
    this.holders.set(name, holders);
    const added = !holders.has(worker);
    holders.add(worker);
    return added;
  }
  drop(worker: number, name: number): boolean {
    const dropped = this.holders.get(name)?.delete(worker) ?? false;
    if (this.holders.get(name)?.size === 0) this.holders.delete(name);
    return dropped;
  }
  /** How many of the first blocks the worker did not hold and holds now. */
  holds(worker: number, names: readonly number[]): number {
    const end = names.findIndex((name) => !this.hold(worker, name));
    return end < 0 ? names.length : end;
  }
  clear(worker: number): void {
    for (const name of [...this.holders.keys()]) this.drop(worker, name);
  }
}

function compare(rows: BlockRows, twin: Twin): void {
  rows.assertConsistent();
  if (rows.hasDead) expect(rows.size).toBeGreaterThan(twin.holders.size);
  else expect(rows.size).toBe(twin.holders.size);
  for (const [name, holders] of twin.holders) {
    const block = rows.find(...keyOf(name));
    expect(workers.filter((worker) => rows.has(worker, block))).toEqual(workers.filter((one) => holders.has(one)));
  }
}

describe('block rows', () => {
  it('equal a map of sets under any chains, in pieces, removed in any order', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        'hold',
        'hold',
        'holdRow',
        'holdRow',
        'drop',
        'dropBackwards',
        'dropAll',
        'dropAll',
        'walk',
        'clear',
        'sweep',
      ),
      worker: fc.constantFrom(...workers),
      from: fc.nat(300),
      count: fc.integer({ min: 1, max: 120 }),
      stride: fc.constantFrom(1, 1, 1, 2, 7),
      linked: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const rows = new BlockRows();
        for (const worker of workers) rows.addWorker(worker);
        const twin = new Twin();
        for (const { kind, worker, from, count, stride, linked } of steps) {
          const names = Array.from({ length: count }, (_, i) => from + i * stride);
          if (kind === 'dropBackwards' || (kind === 'dropAll' && linked)) names.reverse();
          if (kind === 'clear') {
            rows.clear(worker);
            twin.clear(worker);
          }
          if (kind === 'sweep') for (let turn = 0; turn < from % 5; turn++) rows.sweep(count);
          if (kind === 'clear' || kind === 'sweep') names.length = 0;
          if (kind === 'holdRow') {
            const keys = Uint32Array.from(names.flatMap(keyOf));
            const done = rows.holdRow(worker, linked ? newChain : noBlock, keys, 0, names.length);
            expect(done).toBe(twin.holds(worker, names));
            if (done > 0) expect(rows.last).toBe(rows.find(...keyOf(names[done - 1]!)));
            names.length = 0;
          }
          if (kind === 'dropAll') {
            // Each block twice, of which the worker holds none any more the second time.
            const blocks = [...names, ...names]
              .map((name) => rows.find(...keyOf(name)))
              .filter((one) => one !== noBlock);
            const held = names.filter((name) => twin.drop(worker, name)).length;
            expect(rows.dropAll(worker, Int32Array.from(blocks), blocks.length)).toBe(held);
            names.length = 0;
          }
          // Dead blocks are found as well, but nobody holds them.
          const isHeld = (block: number): boolean => block !== noBlock && rows.holders(block) > 0;
          let last = linked ? newChain : noBlock;
          for (const name of names) {
            const key = keyOf(name);
            if (kind === 'hold') {
              expect(twin.holders.has(name)).toBe(isHeld(rows.find(...key)));
              last = rows.hold(worker, linked ? last : noBlock, ...key);
              expect(rows.added).toBe(twin.hold(worker, name));
            } else if (kind === 'walk') {
              last = rows.findBehind(last, ...key);
              expect(isHeld(last)).toBe(twin.holders.has(name));
            } else {
              const block = kind === 'drop' ? rows.find(...key) : rows.findAhead(last, ...key);
              expect(isHeld(block)).toBe(twin.holders.has(name));
              expect(block !== noBlock && rows.drop(worker, block)).toBe(twin.drop(worker, name));
              last = block;
            }
          }
          if (rows.isSparse) {
            const before = [...twin.holders.keys()].map((name) => rows.find(...keyOf(name)));
            const numbers = rows.compact();
            expect(before.map((block) => numbers[block])).toEqual(
              [...twin.holders.keys()].map((name) => rows.find(...keyOf(name))),
            );
            expect(rows.isSparse).toBe(false);
          }
          compare(rows, twin);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('a chain in pieces, between those of other chains, is found in long rows', () => {
    const rows = new BlockRows();
    rows.addWorker(0);
    // Leaves empty groups of numbers.
    for (let i = 0; i < 2000; i++) rows.hold(0, i - 1, i, 7);
    for (let i = 0; i < 2000; i++) rows.drop(0, rows.find(i, 7));
    const chains = 20;
    const last = new Array<number>(chains).fill(newChain);
    const sequence = (chain: number): Uint32Array => Uint32Array.from({ length: 64 }, (_, i) => chain * 1000 + i);
    for (let from = 0; from < 32; from += 4) {
      for (let chain = 0; chain < chains; chain++) {
        const words = sequence(chain);
        for (let i = from; i < from + 4; i++)
          last[chain] = rows.hold(0, last[chain]!, words[2 * i]!, words[2 * i + 1]!);
      }
    }
    for (let chain = 0; chain < chains; chain++) {
      const words = sequence(chain);
      expect(rows.runLength(rows.find(words[0]!, words[1]!), words, 0, 32)).toBe(32);
    }
  });

  it('stay right while a larger index is built: blocks come, go, and are cleared meanwhile', () => {
    const rows = new BlockRows();
    for (const worker of workers) rows.addWorker(worker);
    const twin = new Twin();
    for (let name = 1; name <= 6000; name++) {
      const worker = workers[name % 3]!;
      rows.hold(worker, name % 5 === 0 ? noBlock : rows.find(...keyOf(name - 1)), ...keyOf(name));
      twin.hold(worker, name);
      const gone = Math.imul(name, 7919) % name;
      const block = rows.find(...keyOf(gone));
      for (const one of workers) {
        if (block !== noBlock && rows.drop(one, block)) expect(twin.drop(one, gone)).toBe(true);
      }
      if (name % 1000 === 0) {
        rows.clear(workers[1]!);
        twin.clear(workers[1]!);
      }
      if (name % 7 === 0 && rows.hasDead) rows.sweep(50);
      if (name % 97 === 0) rows.assertConsistent();
    }
    compare(rows, twin);
  });

  it('take constant memory while a chain moves on at a constant length', () => {
    const rows = new BlockRows();
    rows.addWorker(0);
    let last = noBlock;
    let bytes = 0;
    for (let i = 1; i < 20_000; i++) {
      last = rows.hold(0, last, i, 7);
      if (i > 500) rows.drop(0, rows.find(i - 500, 7));
      if (i === 1000) bytes = rows.bytes;
    }
    expect(rows.size).toBe(500);
    expect(rows.bytes).toBe(bytes);
  });
});

describe('block numbers', () => {
  it('gives each number once, the one behind where it is free, else one of an empty group', () => {
    const step = fc.tuple(fc.constantFrom('row', 'any', 'free', 'free'), fc.nat(1000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 4 }), (steps, groups) => {
        const numbers = new BlockNumbers();
        numbers.grow(groups * groupSize);
        const taken = new Set<number>();
        const groupsOf = (): number[] => Array.from({ length: groups }, (_, group) => group);
        const numbersOf = (group: number): number[] =>
          Array.from({ length: groupSize }, (_, i) => group * groupSize + i);
        const isEmpty = (group: number): boolean => numbersOf(group).every((number) => !taken.has(number));
        const isFull = (group: number): boolean => numbersOf(group).every((number) => taken.has(number));
        const empty = (): boolean => groupsOf().some(isEmpty);
        for (const [kind, pick] of steps) {
          const chosen = [...taken][pick % Math.max(1, taken.size)] ?? noBlock;
          if (kind === 'free') {
            if (chosen === noBlock) continue;
            numbers.free(chosen);
            taken.delete(chosen);
          } else if (kind === 'row') {
            const next = chosen + 1;
            const hasNext = chosen !== noBlock && next < groups * groupSize && !taken.has(next);
            const hadEmpty = empty();
            const number = numbers.takeInRow(chosen);
            if (hasNext) expect(number).toBe(next);
            else expect(number !== noBlock).toBe(hadEmpty);
            if (number === noBlock) continue;
            expect(taken.has(number)).toBe(false);
            taken.add(number);
          } else {
            const hasPartial = groupsOf().some((group) => !isEmpty(group) && !isFull(group));
            const number = numbers.takeAny();
            expect(number !== noBlock).toBe(hasPartial);
            if (number === noBlock) continue;
            expect(taken.has(number)).toBe(false);
            expect(number).toBeLessThan(groups * groupSize);
            taken.add(number);
          }
          expect(numbers.size).toBe(taken.size);
        }
        for (let number = 0; number < groups * groupSize; number++) expect(numbers.has(number)).toBe(taken.has(number));
      }),
      { numRuns: 200 },
    );
  });
});
