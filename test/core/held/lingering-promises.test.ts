import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/blocks/block-hash.ts';
import { Announcements } from '../../../src/core/held/announcements.ts';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';
import type { BlockHashes, BlocksStored } from '../../../src/core/types.ts';

const hasher = new BlockHasher();
const blockSize = 2;
const hashesOf = (blocks: readonly number[]): BlockHashes =>
  hasher.hash(Uint32Array.from(blocks.flatMap((block) => [block, block])), blockSize);

/** Each block by its whole chain. */
const chainsOf = (blocks: readonly number[]): string[] => blocks.map((_, i) => blocks.slice(0, i + 1).join('/'));

/** Promises by their definition. */
class NaivePromises {
  promises: { readonly chains: readonly string[]; readonly untilMs: number }[] = [];
  readonly held = new Map<string, number>();
  readonly removed = new Set<string>();

  add(blocks: readonly number[], untilMs: number): void {
    const chains = chainsOf(blocks);
    if (chains.length === 0 || this.held.has(chains.at(-1)!)) return;
    for (const chain of chains) this.removed.delete(chain);
    this.promises.push({ chains, untilMs });
  }

  store(blocks: readonly number[]): void {
    for (const chain of chainsOf(blocks)) this.held.set(chain, (this.held.get(chain) ?? 0) + 1);
    this.#keep(({ chains }) => !this.held.has(chains.at(-1)!));
  }

  remove(chain: string): void {
    const copies = this.held.get(chain);
    if (copies === undefined) return;
    if (copies > 1) this.held.set(chain, copies - 1);
    else {
      this.held.delete(chain);
      if (this.promises.length > 0) this.removed.add(chain);
    }
  }

  advance(nowMs: number): void {
    this.#keep(({ untilMs }) => untilMs > nowMs);
  }

  leading(blocks: readonly number[]): number {
    const chains = chainsOf(blocks);
    const promised = (chain: string): boolean => this.promises.some((one) => one.chains.includes(chain));
    const end = chains.findIndex((chain) => !promised(chain) || (this.removed.has(chain) && !this.held.has(chain)));
    return end === -1 ? chains.length : end;
  }

  #keep(stays: (promise: NaivePromises['promises'][number]) => boolean): void {
    this.promises = this.promises.filter(stays);
    if (this.promises.length === 0) this.removed.clear();
  }
}

function storedOf(blocks: readonly number[]): BlocksStored {
  const { sequence } = hashesOf(blocks);
  const tokens = Uint32Array.from(blocks.flatMap((block) => [block, block]));
  return { kind: 'stored', hashes: sequence, parent: null, tokens, blockSize, lora: null, salt: null, extras: null };
}

const blocks = fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 5 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('end' as const), blocks, lingerMs: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('store' as const), blocks }),
  fc.record({ kind: fc.constant('remove' as const), blocks }),
  fc.record({ kind: fc.constant('wait' as const), blocks, ms: fc.integer({ min: 1, max: 20 }) }),
);

describe('LingeringPromises', () => {
  it('equal the naive twin after any ends of requests, stores, removals and waits', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const index = new PrefixIndex(hasher);
        index.addWorker(0);
        const announcements = new Announcements(index);
        announcements.forget(0);
        const { promises } = announcements;
        const twin = new NaivePromises();
        const scratch = new Int32Array(1);
        let nowMs = 0;
        for (const one of steps) {
          const { sequence, count } = hashesOf(one.blocks);
          switch (one.kind) {
            case 'end':
              promises.add(hashesOf(one.blocks), 0, one.lingerMs, nowMs);
              twin.add(one.blocks, nowMs + one.lingerMs);
              break;
            case 'store': {
              const event = storedOf(one.blocks);
              index.apply(0, event);
              announcements.applied(0, event, nowMs);
              twin.store(one.blocks);
              break;
            }
            case 'remove':
              // Only the last block of the chain.
              index.apply(0, { kind: 'removed', hashes: sequence.slice(2 * count - 2) });
              twin.remove(chainsOf(one.blocks).at(-1)!);
              break;
            case 'wait':
              nowMs += one.ms;
          }
          promises.expire(nowMs);
          twin.advance(nowMs);
          const out = new Int32Array(1);
          promises.raiseLeadingRuns(hashesOf(one.blocks), out, scratch, 1);
          expect(out[0]).toBe(twin.leading(one.blocks));
          expect(scratch[0]).toBe(0);
        }
        promises.assertConsistent();
      }),
      { numRuns: 400 },
    );
  });

  it('end at a block that the engine removes, and begin again with the next request that computes it', () => {
    const index = new PrefixIndex(hasher);
    index.addWorker(0);
    const announcements = new Announcements(index);
    announcements.forget(0);
    const { promises } = announcements;
    const leading = (): number => {
      const out = new Int32Array(1);
      promises.raiseLeadingRuns(hashesOf([1, 2, 3]), out, new Int32Array(1), 1);
      return out[0]!;
    };
    index.apply(0, storedOf([1, 2]));
    promises.add(hashesOf([1, 2, 3]), 0, 100, 0);
    expect(leading()).toBe(3);
    index.apply(0, { kind: 'removed', hashes: hashesOf([1, 2]).sequence.slice(2) });
    expect(leading()).toBe(1);
    promises.add(hashesOf([1, 2, 3]), 0, 100, 10);
    expect(leading()).toBe(3);
  });
});
