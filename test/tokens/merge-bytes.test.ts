// Both algorithms of merging (scan and heap) compared with the naive twin.

import fc from 'fast-check';
import cl100k from 'js-tiktoken/ranks/cl100k_base';
import { describe, expect, it } from 'vitest';
import { parseRanks, vocabularyOf } from '../../src/tokens/cl100k-vocabulary.ts';
import { ByteMerger } from '../../src/tokens/merge-bytes.ts';
import { noMerge, PairMerges, pairTables, TokenMerges } from '../../src/tokens/merges.ts';
import type { Vocabulary } from '../../src/tokens/vocabulary.ts';
import { naiveMerge } from '../model/bpe-naive.ts';

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function ranksOf(vocabulary: Vocabulary): Map<string, number> {
  const ranks = new Map<string, number>();
  for (let id = 0; id < vocabulary.size; id++) ranks.set(latin1(vocabulary.tokenBytes(id)), id);
  return ranks;
}

function mergeWith(merger: ByteMerger, word: Uint8Array): number[] {
  const out = new Uint32Array(word.length + 2);
  const end = merger.merge(word, 0, word.length, out, 1);
  return Array.from(out.subarray(1, end));
}

/** All bytes, then random tokens over a small alphabet: many equal ranks side by side, many overlapping merges. */
function denseVocabulary(): Vocabulary {
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const words = fc.sample(fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 2, maxLength: 12 }), {
    numRuns: 600,
    seed: 3,
  });
  const all = [...new Set([...tokens, ...words.map((word) => word.join(''))])];
  const starts = [0];
  for (const token of all) starts.push(starts.at(-1)! + token.length);
  return vocabularyOf(Buffer.from(all.join(''), 'latin1'), Uint32Array.from(starts));
}

describe('ByteMerger', () => {
  const cl100kVocabulary = parseRanks(cl100k.bpe_ranks);

  it('equals the naive twin on cl100k, on both sides of the change from scan to heap', () => {
    const merger = new ByteMerger(cl100kVocabulary, new TokenMerges(cl100kVocabulary));
    const ranks = ranksOf(cl100kVocabulary);
    const word = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.array(fc.constantFrom(...Buffer.from('etaoin shrdlu')), { minLength: 1, maxLength: 200 }),
      fc.array(fc.constantFrom(...Buffer.from('語の人'), ...Buffer.from('=- ')), { minLength: 60, maxLength: 70 }),
    );
    fc.assert(
      fc.property(word, (values) => {
        const bytes = Uint8Array.from(values);
        expect(mergeWith(merger, bytes)).toEqual(naiveMerge(bytes, ranks));
      }),
      { numRuns: 400, seed: 4 },
    );
  });

  it('equals the naive twin on an ambiguous vocabulary', () => {
    const vocabulary = denseVocabulary();
    const merger = new ByteMerger(vocabulary, new TokenMerges(vocabulary));
    const ranks = ranksOf(vocabulary);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(97, 98, 99), { minLength: 1, maxLength: 160 }), (values) => {
        const bytes = Uint8Array.from(values);
        expect(mergeWith(merger, bytes)).toEqual(naiveMerge(bytes, ranks));
      }),
      { numRuns: 800, seed: 5 },
    );
  });

  it('equals the naive twin if the merges are a list of pairs', () => {
    const vocabulary = denseVocabulary();
    const ranks = ranksOf(vocabulary);
    // Every split of a token into two others is a merge, in the order of the tokens, as tiktoken's form implies.
    const merges: number[][] = [];
    for (const [token, id] of ranks) {
      for (let cut = 1; cut < token.length; cut++) {
        const [left, right] = [ranks.get(token.slice(0, cut)), ranks.get(token.slice(cut))];
        if (left !== undefined && right !== undefined) merges.push([left, right, id]);
      }
    }
    const column = (index: number): Uint32Array => Uint32Array.from(merges, (merge) => merge[index]!);
    const pairs = new PairMerges(pairTables(column(0), column(1), column(2)), vocabulary);
    expect(pairs.rank(vocabulary.size + 5, 97)).toBe(noMerge);
    const merger = new ByteMerger(vocabulary, pairs);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(97, 98, 99), { minLength: 1, maxLength: 160 }), (values) => {
        const bytes = Uint8Array.from(values);
        expect(mergeWith(merger, bytes)).toEqual(naiveMerge(bytes, ranks));
      }),
      { numRuns: 800, seed: 7 },
    );
  });

  it('merges words of growing length with the same scratch', () => {
    const merger = new ByteMerger(cl100kVocabulary, new TokenMerges(cl100kVocabulary));
    const ranks = ranksOf(cl100kVocabulary);
    for (const length of [65, 1025, 3000, 70, 64, 1]) {
      const bytes = Uint8Array.from({ length }, (_, at) => 97 + ((at * at) % 7));
      expect(mergeWith(merger, bytes)).toEqual(naiveMerge(bytes, ranks));
    }
  });

  it("finds the package's tokens by id and by bytes", () => {
    expect(cl100kVocabulary.size).toBe(100_256);
    expect(latin1(cl100kVocabulary.tokenBytes(0))).toBe('!');
    expect(latin1(cl100kVocabulary.tokenBytes(100_255))).toBe(' Conveyor');
    expect(ranksOf(cl100kVocabulary).size).toBe(cl100kVocabulary.size);
  });
});
