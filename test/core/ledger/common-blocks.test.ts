// What the sum over routers counts too often equals a naive count over sets, and nothing is left when all have ended.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampledBlocks, sampledCounts } from '../../../src/core/blocks/sampled-chain.ts';
import { BlockHasher } from '../../../src/core/index.ts';
import { type ActiveChain, CommonBlocks, RouterChains } from '../../../src/core/ledger/common-blocks.ts';
import { WorkerTable } from '../../../src/core/ledger/worker-table.ts';

const hasher = new BlockHasher();
const hash = (tokens: readonly number[]) => hasher.hash(Uint32Array.from(tokens), 1);
const [workers, routers] = [2, 3];

function tableOf(): WorkerTable {
  const table = new WorkerTable();
  for (let i = 0; i < workers; i++) table.add({ id: `${i}`, blockSize: 1, capacityBlocks: 100, source: 'events' });
  return table;
}

interface Live {
  readonly router: number;
  readonly worker: number;
  readonly tokens: readonly number[];
  readonly chain: ActiveChain;
}

/** A block for each one up to the last sample. */
function prefixesOf(tokens: readonly number[]): string[] {
  const known = sampledCounts.findLast((count) => count <= tokens.length) ?? 0;
  return Array.from({ length: known }, (_, i) => tokens.slice(0, i + 1).join());
}

/** Blocks up to the sample that both have, since what lies between two samples is not compared. */
function naiveCommon(live: readonly Live[], worker: number): number {
  const here = live.filter((one) => one.worker === worker);
  const samples = new Map<string, Set<number>>();
  for (const { router, tokens } of here) {
    const prefixes = prefixesOf(tokens);
    let below = 0;
    for (const count of sampledCounts) {
      if (count > prefixes.length) break;
      const key = `${count - below} ${prefixes[count - 1]}`;
      samples.set(key, (samples.get(key) ?? new Set()).add(router));
      below = count;
    }
  }
  let common = 0;
  for (const [key, of] of samples) common += (of.size - 1) * Number.parseInt(key, 10);
  return common;
}

const step = fc.record({
  kind: fc.constantFrom('add', 'add', 'add', 'remove', 'drop-worker'),
  router: fc.nat(routers - 1),
  worker: fc.nat(workers - 1),
  // Chains that part early, late, or between two samples.
  tokens: fc
    .tuple(fc.nat(1), fc.nat(30), fc.nat(1), fc.nat(12))
    .map(([first, shared, then, rest]) => [
      first,
      ...Array.from({ length: shared }, () => 9),
      then,
      ...Array.from({ length: rest }, () => 8),
    ]),
  which: fc.nat(50),
});

describe('common blocks', () => {
  it('equal their naive twin under any order of beginnings and ends', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const table = tableOf();
        const common = new CommonBlocks(table);
        const chains = Array.from({ length: routers }, () => new RouterChains());
        let live: Live[] = [];
        for (const { kind, router, worker, tokens, which } of steps) {
          if (kind === 'add') {
            const chain = common.add(chains[router]!, worker, sampledBlocks(hash(tokens)));
            live.push({ router, worker, tokens, chain });
          } else if (kind === 'drop-worker') {
            for (const one of live) if (one.worker === worker) common.remove(one.chain);
            live = live.filter((one) => one.worker !== worker);
          } else if (live.length > 0) {
            const [gone] = live.splice(which % live.length, 1);
            common.remove(gone!.chain);
          }
          common.assertConsistent();
          for (let w = 0; w < workers; w++) expect(table.commonBlocks[w]).toBe(naiveCommon(live, w));
        }
        const out = new Int32Array(workers);
        const query = [1, ...Array.from({ length: 20 }, () => 9)];
        common.raiseLeadingRuns(hash(query), out);
        for (let w = 0; w < workers; w++) {
          const known = new Set(live.filter((one) => one.worker === w).flatMap(({ tokens }) => prefixesOf(tokens)));
          const sampled = sampledCounts.filter(
            (count) => count <= query.length && known.has(query.slice(0, count).join()),
          );
          expect(out[w]).toBe(sampled.at(-1) ?? 0);
        }
        for (const { chain } of live) common.remove(chain);
        expect(common.isEmpty).toBe(true);
        expect([...table.commonBlocks.subarray(0, workers)]).toEqual([0, 0]);
      }),
      { numRuns: 200 },
    );
  });

  it('leave nothing of sequences that are no chains, as another router may send them', () => {
    const sequence = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 9 });
    const one = fc.record({ router: fc.nat(routers - 1), worker: fc.nat(workers - 1), sequence, ends: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 40 }), (all) => {
        const table = tableOf();
        const common = new CommonBlocks(table);
        const chains = Array.from({ length: routers }, () => new RouterChains());
        const live = all.map(({ router, worker, sequence: words, ends }) => ({
          ends,
          chain: common.add(chains[router]!, worker, Uint32Array.from(words.flatMap((word) => [word, 7]))),
        }));
        live.sort((a, b) => a.ends - b.ends);
        for (const { chain } of live) {
          common.remove(chain);
          common.assertConsistent();
        }
        expect(common.isEmpty).toBe(true);
        expect([...table.commonBlocks.subarray(0, workers)]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
