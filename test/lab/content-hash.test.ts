// Hashes from content ids, compared with the tokens that the ids stand for.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContentHasher, hashPrompt } from '../../src/lab/content-hash.ts';
import type { WorkloadRequest } from '../../src/trace/workload.ts';

/** A request whose ids form a chain: the path in a tree of content blocks, named by the path itself. */
interface Drawn {
  readonly path: readonly number[];
  readonly isl: number;
}

const drawn = (contentBlockTokens: number): fc.Arbitrary<Drawn> =>
  fc.array(fc.nat({ max: 1 }), { maxLength: 6 }).chain((path) =>
    fc.record({
      path: fc.constant(path),
      isl: fc.integer({
        min: Math.max(1, (path.length - 1) * contentBlockTokens + 1),
        max: path.length * contentBlockTokens + 40,
      }),
    }),
  );

/** Content of each token: its position in a content block, else unique to the request. */
function tokensOf({ path, isl }: Drawn, index: number, contentBlockTokens: number): string[] {
  return Array.from({ length: isl }, (_, token) => {
    const block = Math.floor(token / contentBlockTokens);
    return block < path.length ? `${path.slice(0, block + 1).join('')}/${token}` : `own ${index}/${token}`;
  });
}

describe('hashPrompt', () => {
  it('is equal exactly if all tokens up to the end of the block are', () => {
    const sizes = fc.record({ content: fc.constantFrom(1, 3, 4, 8, 16), engine: fc.constantFrom(1, 2, 4, 6, 16) });
    const cases = sizes.chain((size) => fc.tuple(fc.constant(size), fc.array(drawn(size.content), { maxLength: 8 })));
    fc.assert(
      fc.property(cases, ([{ content, engine }, requests]) => {
        const ids = new Map<string, number>();
        const idOf = (path: readonly number[]): number => {
          const key = path.join('');
          if (!ids.has(key)) ids.set(key, ids.size);
          return ids.get(key)!;
        };
        const prefixByHash = new Map<string, string>();
        const hashByPrefix = new Map<string, string>();
        for (const [index, request] of requests.entries()) {
          const blockIds = Int32Array.from(request.path, (_, block) => idOf(request.path.slice(0, block + 1)));
          const asked: WorkloadRequest = { arrivalMs: 0, isl: request.isl, osl: 1, blockIds };
          const { count, sequence, blockSize } = hashPrompt(asked, index, content, engine);
          expect([count, blockSize]).toEqual([Math.floor(request.isl / engine), engine]);
          const tokens = tokensOf(request, index, content);
          for (let block = 0; block < count; block++) {
            const hash = `${sequence[2 * block]}:${sequence[2 * block + 1]}`;
            const prefix = tokens.slice(0, (block + 1) * engine).join(' ');
            expect(prefixByHash.get(hash) ?? prefix).toBe(prefix);
            expect(hashByPrefix.get(prefix) ?? hash).toBe(hash);
            prefixByHash.set(hash, prefix);
            hashByPrefix.set(prefix, hash);
          }
        }
      }),
    );
  });
});

describe('ContentHasher', () => {
  it('gives every block after the full prompt blocks a unique hash', () => {
    const request: WorkloadRequest = { arrivalMs: 0, isl: 10, osl: 9, blockIds: Int32Array.of(0, 1) };
    const hashesOf = (index: number): string[] => {
      const out = new Uint32Array(8);
      out.set(hashPrompt(request, index, 8, 4).sequence);
      const hasher = new ContentHasher(4, index);
      for (let block = 2; block < 4; block++) hasher.next(new Uint32Array(0), block * 4, block * 4 + 4, out, block * 2);
      return Array.from({ length: 4 }, (_, block) => `${out[2 * block]}:${out[2 * block + 1]}`);
    };
    const [first, second] = [hashesOf(0), hashesOf(1)];
    expect(first.slice(0, 2)).toEqual(second.slice(0, 2));
    expect(new Set([...first, ...second.slice(2)]).size).toBe(6);
  });
});
