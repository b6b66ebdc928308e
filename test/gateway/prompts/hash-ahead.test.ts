// Long prompts hashed in turns: the same hashes as in one step, in turns that are short.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/index.ts';
import { withHashesAhead, withHashesInstead } from '../../../src/gateway/prompts/hash-ahead.ts';
import { hashContents, type PromptContent } from '../../../src/gateway/prompts/prompt-content.ts';

const hasher = new BlockHasher();
const guess = { bytesPerToken: 5, tokensPerPart: 100 };
const rest = { restTokens: 7, restBytes: 0, otherParts: 0 };

function words(length: number, seed: number): Uint32Array {
  return Uint32Array.from({ length }, (_, at) => Math.imul(at + seed, 2_654_435_761) >>> 0);
}

const lengths = fc.oneof(fc.nat(100), fc.constantFrom(262_143, 262_144, 262_145, 600_001));
const content: fc.Arbitrary<PromptContent> = fc.oneof(
  lengths.map((length): PromptContent => ({ kind: 'tokens', tokens: words(length, 1) })),
  lengths.map((length): PromptContent => ({ kind: 'beginning', tokens: words(length, 2), ...rest })),
  lengths.map((length): PromptContent => {
    // Begins where no word of four bytes begins.
    const bytes = new Uint8Array(words(length + 1, 3).buffer).subarray(1, 4 * length);
    return { kind: 'bytes', bytes, otherParts: 1 };
  }),
);

describe('withHashesAhead', () => {
  it('gives the hashes of one step', async () => {
    const sizes = fc.uniqueArray(fc.constantFrom(1, 3, 16, 64, 1000, 65_536), { minLength: 1, maxLength: 2 });
    const namespace = fc.constantFrom({}, { lora: 'l', salt: null }, { lora: '', salt: 's' });
    await fc.assert(
      fc.asyncProperty(fc.array(content, { maxLength: 3 }), sizes, namespace, async (contents, blockSizes, spaces) => {
        const expected = hashContents(contents, hasher, blockSizes, guess, spaces);
        const ahead = await withHashesAhead(contents, hasher, blockSizes, spaces, async () => undefined);
        const got = hashContents(ahead, hasher, blockSizes, guess, spaces);
        expect(got.length).toBe(expected.length);
        for (const [index, { hashes, ...others }] of expected.entries()) {
          const { hashes: ours, ...rests } = got[index]!;
          expect(rests).toEqual(others);
          for (const [at, { sequence, ...facts }] of hashes.entries()) {
            const { sequence: our, ...ourFacts } = ours[at]!;
            expect(ourFacts).toEqual(facts);
            expect(
              Buffer.from(our.buffer, our.byteOffset, our.byteLength).equals(
                Buffer.from(sequence.buffer, sequence.byteOffset, sequence.byteLength),
              ),
            ).toBe(true);
          }
        }
        // Another namespace knows none of them.
        const elsewhere = hashContents(ahead, hasher, blockSizes, guess, { lora: 'other' });
        expect(elsewhere).toEqual(hashContents(contents, hasher, blockSizes, guess, { lora: 'other' }));
      }),
      { numRuns: 20 },
    );
  }, 60_000);

  it('leaves short prompts as they are, and takes several turns for long ones', async () => {
    const short: PromptContent[] = [{ kind: 'tokens', tokens: words(1000, 1) }];
    const noTurn = async (): Promise<never> => expect.unreachable();
    expect(withHashesAhead(short, hasher, [16], {}, noTurn)).toBe(short);
    let turns = 0;
    const long: PromptContent[] = [{ kind: 'tokens', tokens: words(2_000_000, 1) }];
    await withHashesAhead(long, hasher, [16], {}, async () => {
      turns += 1;
    });
    expect(turns).toBe(7);
  });
});

describe('withHashesInstead', () => {
  it('gives the hashes of the tokens, which it does not keep', async () => {
    const sizes = fc.uniqueArray(fc.constantFrom(1, 3, 16, 64, 1000), { maxLength: 2 });
    const namespace = fc.constantFrom({}, { lora: 'l', salt: null }, { lora: '', salt: 's' });
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { maxLength: 3 }),
        sizes,
        namespace,
        fc.boolean(),
        async (given, all, spaces, isAhead) => {
          const contents = isAhead ? await withHashesAhead(given, hasher, all, spaces, async () => undefined) : given;
          const expected = hashContents(contents, hasher, all, guess, spaces);
          const copies = contents.map((one) =>
            one.kind === 'bytes' ? one : { ...one, tokens: Uint32Array.from(one.tokens as Uint32Array) },
          );
          const instead = withHashesInstead(copies, hasher, all, spaces);
          for (const one of copies) if (one.kind !== 'bytes') one.tokens.fill(7);
          expect(hashContents(instead, hasher, all, guess, spaces)).toEqual(expected);
          // Where they are not known, the length still is.
          for (const [index, { isl, hashes }] of hashContents(instead, hasher, [17], guess, spaces).entries()) {
            expect(isl).toBe(expected[index]!.isl);
            if (instead[index]!.kind !== 'bytes') expect(hashes[0]!.count).toBe(0);
          }
        },
      ),
      { numRuns: 12 },
    );
  }, 60_000);
});

it('several prompts of a request claim no more than 32,768 blocks together, a single one all of its blocks', () => {
  const many = Array.from({ length: 40 }, (_, seed): PromptContent => ({ kind: 'tokens', tokens: words(1001, seed) }));
  const claimed = hashContents(many, hasher, [1], guess, {});
  expect(claimed.map(({ hashes }) => hashes[0]!.count)).toEqual(
    Array.from({ length: 40 }, (_, at) => (at < 32 ? 1001 : at === 32 ? 736 : 0)),
  );
  expect(claimed.every(({ isl }) => isl === 1001)).toBe(true);
  const [single] = hashContents([{ kind: 'tokens', tokens: words(50_000, 1) }], hasher, [1], guess, {});
  expect(single!.hashes[0]!.count).toBe(50_000);
});
