// Overlaps kept during a plan equal those looked up again, for any promised runs that a plan may add.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/blocks/block-hash.ts';
import { KnownOverlaps } from '../../../src/core/choice/known-overlaps.ts';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';

const blocks = 12;
const workers = 5;

it('need no second look where the promised run is no longer than the overlap, and are exact after one', () => {
  const row = fc.record({
    held: fc.array(fc.boolean(), { minLength: blocks, maxLength: blocks }),
    promised: fc.nat({ max: blocks }),
    planned: fc.nat({ max: blocks }),
  });
  fc.assert(
    fc.property(fc.array(row, { minLength: workers, maxLength: workers }), fc.nat({ max: blocks }), (rows, count) => {
      const index = new PrefixIndex(new BlockHasher());
      const sequence = Uint32Array.from({ length: 2 * count }, (_, word) => 977 * (word + 1));
      const hashes = { blockSize: 16, count, sequence, blockTokens: 16 };
      for (const [worker, { held }] of rows.entries()) {
        index.addWorker(worker);
        for (let block = 0; block < count; block++) {
          if (held[block]) index.presume(worker, sequence[2 * block]!, sequence[2 * block + 1]!);
        }
      }
      const lookedUp = (promised: number[]): Int32Array => {
        const out = Int32Array.from(promised);
        index.overlaps(hashes, out, workers);
        return out;
      };
      const before = rows.map(({ promised }) => Math.min(count, promised));
      const known = new KnownOverlaps(workers);
      known.keep(lookedUp(before));

      const during = rows.map(({ planned }, worker) => Math.max(before[worker]!, Math.min(count, planned)));
      const raised = Int32Array.from(during);
      if (known.raise(raised)) index.overlaps(hashes, raised, workers);
      expect(raised).toEqual(lookedUp(during));
    }),
    { numRuns: 500 },
  );
});
