// The mirror of a worker without events equals a list in order of use.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LruMirror } from '../../../src/core/held/lru-mirror.ts';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';
import { BlockHasher } from '../../../src/core/index.ts';

const hasher = new BlockHasher();

it('equals its naive twin and never exceeds its capacity', () => {
  const chain = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 6 });
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('touch' as const), chain }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('capacity' as const), blocks: fc.integer({ min: 1, max: 12 }) }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), (steps, initial) => {
      const index = new PrefixIndex(hasher);
      index.addWorker(0);
      const mirror = new LruMirror(index, 0, initial);
      let capacity = initial;
      /** Blocks by their whole prefix, least recently used first. */
      let twin: string[] = [];
      for (const s of steps) {
        if (s.kind === 'capacity') {
          capacity = s.blocks;
          mirror.setCapacity(capacity);
        } else {
          mirror.touch(hasher.hash(Uint32Array.from(s.chain), 1));
          for (let length = Math.min(s.chain.length, capacity); length > 0; length--) {
            const name = s.chain.slice(0, length).join();
            twin = [...twin.filter((other) => other !== name), name];
          }
        }
        twin = twin.slice(Math.max(0, twin.length - capacity));
        expect(mirror.size).toBe(twin.length);
        expect(index.heldBlocks(0)).toBe(twin.length);
        for (const name of twin) {
          const hashes = hasher.hash(Uint32Array.from(name.split(',').map(Number)), 1);
          expect(index.holds(0, hashes.sequence.at(-2)!, hashes.sequence.at(-1)!)).toBe(true);
        }
        index.assertConsistent();
      }
    }),
    { numRuns: 200 },
  );
});
