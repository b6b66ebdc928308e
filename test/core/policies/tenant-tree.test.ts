// The tree of prompts sent equals its naive twin; evictions take leaves, least recently used first.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TenantTree } from '../../../src/core/policies/tenant-tree.ts';
import { NaiveTenantTree } from '../../model/policy-tenant-tree.ts';
import { chainOf } from './columns.ts';

const ids = fc.array(fc.nat(2), { maxLength: 7 });
const worker = fc.nat(3);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('insert' as const), ids, worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), worker }) },
);

describe('TenantTree', () => {
  it('equals its naive twin', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(ids, { maxLength: 10 }), (steps, probes) => {
        const tree = new TenantTree();
        const twin = new NaiveTenantTree();
        for (const s of steps) {
          if (s.kind === 'insert') {
            tree.insert(chainOf(s.ids), s.worker);
            twin.insert(chainOf(s.ids), s.worker);
          } else {
            tree.removeTenant(s.worker);
            twin.removeTenant(s.worker);
          }
          tree.assertConsistent();
        }
        for (const probe of probes) expect(tree.match(chainOf(probe))).toEqual(twin.match(chainOf(probe)));
        for (let w = 0; w < 4; w++) expect(tree.blocksOf(w)).toBe(twin.blocksOf(w));
      }),
    );
  });

  it('keeps every worker within the bound after an eviction, and never matches more than was sent', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(12), ids, (steps, blocksMax, probe) => {
        const tree = new TenantTree();
        const twin = new NaiveTenantTree();
        for (const [i, s] of steps.entries()) {
          if (s.kind === 'insert') {
            tree.insert(chainOf(s.ids), s.worker);
            twin.insert(chainOf(s.ids), s.worker);
          }
          if (i % 7 === 6) tree.evict(blocksMax);
        }
        tree.evict(blocksMax);
        tree.assertConsistent();
        for (let w = 0; w < 4; w++) expect(tree.blocksOf(w)).toBeLessThanOrEqual(blocksMax);
        expect(tree.match(chainOf(probe)).blocks).toBeLessThanOrEqual(twin.match(chainOf(probe)).blocks);
      }),
    );
  });

  it('evicts leaves before their parents, the least recently used first, from the worker above the bound', () => {
    const tree = new TenantTree();
    tree.insert(chainOf([1, 2, 3, 4]), 0);
    tree.insert(chainOf([1, 2, 5]), 0);
    tree.insert(chainOf([6, 7]), 0);
    tree.insert(chainOf([1, 2, 3, 4]), 1);
    // Worker 0 has 7 blocks: 12 | 34, 5 below it, 67. The oldest leaf is 34, then 5; 12 was used with 5.
    expect(tree.blocksOf(0)).toBe(7);
    tree.evict(5);
    expect(tree.blocksOf(0)).toBe(5);
    expect(tree.match(chainOf([1, 2, 3, 4]))).toEqual({ blocks: 4, owner: 1 });
    tree.evict(4);
    expect([tree.blocksOf(0), tree.blocksOf(1)]).toEqual([4, 4]);
    expect(tree.match(chainOf([1, 2, 5]))).toEqual({ blocks: 2, owner: 1 });
    tree.evict(2);
    expect(tree.match(chainOf([6, 7]))).toEqual({ blocks: 2, owner: 0 });
    expect([tree.blocksOf(0), tree.blocksOf(1), tree.heldBlocks]).toEqual([2, 2, 4]);
    tree.evict(0);
    expect(tree.heldBlocks).toBe(0);
    tree.assertConsistent();
  });
});
