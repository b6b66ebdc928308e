// The hashes equal their definition for every block size, and differ for different namespaces.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kernelBase64 } from '../../../src/core/blocks/block-hash-kernel.generated.ts';
import { BlockHasher } from '../../../src/core/index.ts';
import { xxh64 } from '../../model/xxh64.ts';

const hasher = new BlockHasher();

function naiveSequence(tokens: number[], blockSize: number, rootText: string): bigint[] {
  let parent = xxh64(new TextEncoder().encode(rootText));
  const hashes: bigint[] = [];
  for (let start = 0; start + blockSize <= tokens.length; start += blockSize) {
    const block = xxh64(new Uint8Array(Uint32Array.from(tokens.slice(start, start + blockSize)).buffer));
    parent = xxh64(new Uint8Array(new BigUint64Array([parent, block]).buffer));
    hashes.push(parent);
  }
  return hashes;
}

function words(sequence: Uint32Array): bigint[] {
  return Array.from(
    { length: sequence.length / 2 },
    (_, i) => (BigInt(sequence[2 * i + 1]!) << 32n) | BigInt(sequence[2 * i]!),
  );
}

describe('block hash', () => {
  it("equals XXH64's published test vectors", () => {
    expect(xxh64(new Uint8Array(0)).toString(16)).toBe('ef46db3751d8e999');
    expect(xxh64(new TextEncoder().encode('a')).toString(16)).toBe('d24ec4f1a98c6e5b');
    expect(xxh64(new TextEncoder().encode('abc')).toString(16)).toBe('44bc2cf5ad770999');
    expect(xxh64(new TextEncoder().encode('Nobody inspects the spammish repetition')).toString(16)).toBe(
      'fbcea83c8a378bf1',
    );
  });

  it('equals the definition for any tokens and block size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 300 }),
        // Blocks of 16 tokens have a path of their own in the kernel.
        fc.oneof(fc.constant(16), fc.integer({ min: 1, max: 70 })),
        (tokens, size) => {
          const hashes = hasher.hash(Uint32Array.from(tokens), size);
          expect(hashes.count).toBe(Math.floor(tokens.length / size));
          expect(words(hashes.sequence)).toEqual(naiveSequence(tokens, size, `[${size},null,null]`));
        },
      ),
    );
  });

  it('chains block hashes that someone else computed to the same sequence hashes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom({}, { salt: 's' }, { lora: 'l', salt: 's' }),
        (tokens, size, namespace) => {
          const count = Math.floor(tokens.length / size);
          const bytes = new Uint8Array(Uint32Array.from(tokens).buffer);
          const blocks = Array.from({ length: count }, (_, i) => xxh64(bytes.slice(4 * size * i, 4 * size * (i + 1))));
          const own = new Uint32Array(new BigUint64Array(blocks).buffer);
          const { sequence } = hasher.hash(Uint32Array.from(tokens), size, namespace);
          expect(hasher.chainBlockHashes(own, hasher.root(size, namespace))).toEqual(sequence);
        },
      ),
    );
  });

  it('separates LoRA, salt and block size; an empty string is no namespace', () => {
    const tokens = Uint32Array.from({ length: 32 }, (_, i) => i);
    const of = (size: number, namespace?: { lora?: string | null; salt?: string | null }): string =>
      hasher.hash(tokens, size, namespace).sequence.slice(0, 2).join();
    const all = [of(16), of(8), of(16, { lora: 'a' }), of(16, { salt: 'a' }), of(16, { lora: 'a', salt: 'a' })];
    expect(new Set(all).size).toBe(all.length);
    expect(of(16, { lora: '', salt: null })).toBe(of(16));
    expect(words(hasher.hash(tokens, 16, { lora: 'x', salt: 'y' }).sequence)).toEqual(
      naiveSequence([...tokens], 16, '[16,"x","y"]'),
    );
  });

  it('hashes prompts larger than its initial memory, and small ones afterwards', () => {
    const tokens = Uint32Array.from({ length: 300_000 }, (_, i) => i);
    const large = hasher.hash(tokens, 1);
    expect(large.count).toBe(300_000);
    expect([...hasher.hash(tokens.subarray(0, 5), 1).sequence]).toEqual([...large.sequence.subarray(0, 10)]);
  });

  it('cuts bytes into blocks of four bytes per token, and returns the tokens per block', () => {
    const text = new TextEncoder().encode('x'.repeat(200));
    const hashes = hasher.hashBytes(text, 16, 5);
    expect(hashes).toMatchObject({ blockSize: 16, count: 3, blockTokens: 64 / 5 });
    expect([...hashes.sequence]).not.toEqual([...hasher.hash(new Uint32Array(text.slice(0, 192).buffer), 16).sequence]);
  });

  it('runs the kernel compiled from its source', async () => {
    const { compileKernel } = (await import('../../../scripts/build-kernel.mjs' as string)) as {
      compileKernel(name: string): Promise<Buffer>;
    };
    expect((await compileKernel('block-hash')).toString('base64')).toBe(kernelBase64);
  });
});
