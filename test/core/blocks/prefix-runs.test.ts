// Runs are split, shared, merged and removed; each worker's part of any prompt equals a set of whole prefixes.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PrefixRuns, type Run } from '../../../src/core/blocks/prefix-runs.ts';
import { BlockHasher } from '../../../src/core/index.ts';

const hasher = new BlockHasher();
/** Hashes as they came, chained or not. */
const raw = (blocks: readonly number[]) => ({
  blockSize: 1,
  blockTokens: 1,
  count: blocks.length,
  sequence: Uint32Array.from(blocks.flatMap((block) => [block, 7])),
});
const hash = (tokens: readonly number[]) => hasher.hash(Uint32Array.from(tokens), 1);

/** Number of prefixes in which a chain ends or chains part. The empty one has no run. */
function endsAndBranches(chains: readonly (readonly number[])[]): number {
  const ends = new Set(chains.map((chain) => chain.join()));
  const next = new Map<string, Set<number>>();
  for (const chain of chains) {
    for (const [i, block] of chain.entries()) {
      const before = chain.slice(0, i).join();
      next.set(before, (next.get(before) ?? new Set()).add(block));
    }
  }
  const branches = [...next].filter(([, blocks]) => blocks.size > 1).map(([prefix]) => prefix);
  return new Set([...ends, ...branches].filter((prefix) => prefix !== '')).size;
}

it('equals its naive twin under any order of inserts and removals', () => {
  const chain = fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 8 });
  const step = fc.record({ insert: fc.boolean(), chain, worker: fc.nat(2), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(chain, { maxLength: 6 }), (steps, queries) => {
      const runs = new PrefixRuns();
      const live: { chain: number[]; worker: number; last: Run | null }[] = [];
      const blocksOf = (worker: number): Set<string> =>
        new Set(
          live.filter((l) => l.worker === worker).flatMap((l) => l.chain.map((_, i) => l.chain.slice(0, i + 1).join())),
        );
      for (const s of steps) {
        if (s.insert) {
          const before = blocksOf(s.worker).size;
          live.push({ chain: s.chain, worker: s.worker, last: runs.insert(hash(s.chain), s.worker) });
          expect(runs.insertedBlocks).toBe(blocksOf(s.worker).size - before);
        } else if (live.length > 0) {
          const [gone] = live.splice(s.which % live.length, 1);
          const after = blocksOf(gone!.worker).size;
          const removed = gone!.last ? runs.remove(gone!.last, gone!.worker) : 0;
          expect(removed).toBe(
            new Set([...blocksOf(gone!.worker), ...gone!.chain.map((_, i) => gone!.chain.slice(0, i + 1).join())])
              .size - after,
          );
        }
        runs.assertConsistent();
        // Compressed: a run for each end and each branch, however often it was split.
        expect(runs.runCount).toBe(endsAndBranches(live.map((l) => l.chain)));
      }
      const shared = new Int32Array(3);
      runs.addSharedBlocks(shared);
      for (const worker of [0, 1, 2]) {
        const prefixes = live
          .filter((l) => l.worker === worker)
          .map((l) => l.chain.map((_, i) => l.chain.slice(0, i + 1).join()));
        const common = [...blocksOf(worker)].filter(
          (block) => prefixes.filter((all) => all.includes(block)).length > 1,
        );
        expect(shared[worker]).toBe(common.length);
      }
      for (const query of queries) {
        const out = new Int32Array(3);
        runs.addLeadingRuns(hash(query), out);
        for (const worker of [0, 1, 2]) {
          const blocks = blocksOf(worker);
          const missing = query.findIndex((_, i) => !blocks.has(query.slice(0, i + 1).join()));
          expect(out[worker]).toBe(missing < 0 ? query.length : missing);
        }
      }
    }),
    { numRuns: 400 },
  );
});

it('stays whole and ends every walk for sequences that are no chains, as another router may send them', () => {
  const sequence = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 9 });
  const step = fc.record({ insert: fc.boolean(), sequence, worker: fc.nat(2), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), sequence, (steps, query) => {
      const runs = new PrefixRuns();
      const live: { worker: number; last: Run | null }[] = [];
      for (const { insert, sequence: blocks, worker, which } of steps) {
        if (insert) live.push({ worker, last: runs.insert(raw(blocks), worker) });
        else if (live.length > 0) {
          const [gone] = live.splice(which % live.length, 1);
          if (gone!.last !== null) runs.remove(gone!.last, gone!.worker);
        }
        runs.assertConsistent();
        runs.addLeadingRuns(raw(query), new Int32Array(3));
        runs.raiseLeadingRuns(raw(query), new Int32Array(3));
      }
      for (const { last, worker } of live) if (last !== null) runs.remove(last, worker);
      expect(runs.runCount).toBe(0);
    }),
    { numRuns: 500 },
  );
});

it('gives back the runs that sequences which are no chains left over from splits', () => {
  const runs = new PrefixRuns();
  const first = runs.insert(raw([2, 1, 1, 2]), 0)!;
  const second = runs.insert(raw([2, 2, 1, 2, 1]), 0)!;
  const short = runs.insert(raw([2]), 0)!;
  runs.remove(first, 0);
  runs.remove(short, 0);
  runs.assertConsistent();
  expect(runs.runCount).toBeLessThanOrEqual(5);
  runs.remove(second, 0);
  expect(runs.runCount).toBe(0);
});
