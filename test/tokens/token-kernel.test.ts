// The kernel against its twin in TypeScript, for every scanner, with chunks found again wherever a text is cut.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadVocabulary } from '../../src/tokens/builtin-tokenizer.ts';
import { ByteLevelEncoder } from '../../src/tokens/byte-level-encoder.ts';
import {
  deepSeekClasses,
  huggingFaceCasedClasses,
  huggingFaceClasses,
  huggingFaceMarkedClasses,
  tiktokenClasses,
} from '../../src/tokens/character-classes.ts';
import { Cl100kScanner } from '../../src/tokens/cl100k-scanner.ts';
import { vocabularyOf } from '../../src/tokens/cl100k-vocabulary.ts';
import { DeepSeekScanner } from '../../src/tokens/deepseek-scanner.ts';
import { Gpt2Scanner } from '../../src/tokens/gpt2-scanner.ts';
import { type Merges, PairMerges, pairTables, TokenMerges } from '../../src/tokens/merges.ts';
import { O200kScanner } from '../../src/tokens/o200k-scanner.ts';
import { TokenBuffer } from '../../src/tokens/token-buffer.ts';
import { kernelBase64 } from '../../src/tokens/token-kernel.generated.ts';
import { TokenKernel } from '../../src/tokens/token-kernel.ts';
import type { Vocabulary } from '../../src/tokens/vocabulary.ts';
import type { PatternScanner } from '../../src/tokens/word-scanner.ts';
import { languages } from './languages.ts';

const vocabulary = await loadVocabulary();
const tokenMerges = new TokenMerges(vocabulary);
const builtinScanner = new Cl100kScanner(tiktokenClasses(), 3, 'ascii');

/** The same merges as a list of pairs, for the words of up to twelve bytes with low ids. */
function pairMerges(idsEnd: number): Merges {
  const ids = new Map<string, number>();
  const textOf = (id: number): string => Buffer.from(vocabulary.tokenBytes(id)).toString('latin1');
  for (let id = 0; id < vocabulary.size; id++) ids.set(textOf(id), id);
  const merges: number[][] = [];
  for (let id = 0; id < idsEnd; id++) {
    const text = textOf(id);
    for (let cut = 1; cut < Math.min(text.length, 12); cut++) {
      const [left, right] = [ids.get(text.slice(0, cut)), ids.get(text.slice(cut))];
      if (left !== undefined && right !== undefined) merges.push([left, right, id]);
    }
  }
  const column = (index: number): Uint32Array => Uint32Array.from(merges, (merge) => merge[index]!);
  return new PairMerges(pairTables(column(0), column(1), column(2)), vocabulary);
}

function kernelOf(scanner: PatternScanner, chunkBytesMax: number, merges: Merges = tokenMerges): TokenKernel {
  return new TokenKernel({ vocabulary, merges, rules: scanner.rules, chunkBytesMax });
}

function idsOf(encoder: { append(text: string, out: TokenBuffer): void }, text: string): Uint32Array {
  const out = new TokenBuffer();
  encoder.append(text, out);
  return out.copyFrom(0);
}

function twinOf(scanner: PatternScanner, ofVocabulary: Vocabulary = vocabulary, merges: Merges = tokenMerges) {
  return new ByteLevelEncoder(ofVocabulary, merges, { kind: 'scanner', scanner });
}

const sentences = Object.values(languages);
const characters = [
  ..."abcXYZsStTrReEvVmMlLdD'''",
  ...'0129 ½Ⅷ٣𝟘    \t\u00a0\u2003\u3000\v\n\n\r.,!?"-_//<|>€…😀\u0000\ufffd\u200d\u0301\u20dd\u0903',
  ...'éßжשقक語各ǅʰ𐌰𐐀ſ',
  '\ud800',
  '\udfff',
  '\ufeff',
  '\u0085',
];
const noise = fc.array(fc.constantFrom(...characters), { minLength: 1, maxLength: 60 }).map((parts) => parts.join(''));
/** Words of any length, so that both ways of merging and all kinds of slots are met. */
const run = fc
  .tuple(
    fc.constantFrom('a', 'zq', 'xJ', 'ы', '語', '・', '\u3040', '\0', '\u0301', '=', '7', ' ', '\n'),
    fc.integer({ min: 1, max: 150 }),
  )
  .map(([part, count]) => part.repeat(count));
const piece = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...sentences) }, { weight: 3, arbitrary: noise }, run);
const texts = fc.array(piece, { minLength: 1, maxLength: 60 }).map((pieces) => pieces.join(' '));

const scanners: readonly (readonly [string, PatternScanner])[] = [
  ['cl100k', builtinScanner],
  ['llama', new Cl100kScanner(huggingFaceClasses(), 3, 'folded')],
  ['qwen', new Cl100kScanner(huggingFaceClasses(), 1, 'folded')],
  ['qwen 3.5', new Cl100kScanner(huggingFaceMarkedClasses(), 1, 'folded')],
  ['deepseek', new DeepSeekScanner(deepSeekClasses())],
  ['gpt2', new Gpt2Scanner(huggingFaceClasses())],
  ['o200k', new O200kScanner(huggingFaceCasedClasses(), 3, 'folded')],
  ['tekken', new O200kScanner(huggingFaceCasedClasses(), 1, null)],
];

describe.each(scanners)('the kernel with the scanner of %s', (_name, scanner) => {
  it('equals its twin on texts that share beginnings, middles and ends, cut anywhere', () => {
    const twin = twinOf(scanner);
    const kernels = [kernelOf(scanner, 0), kernelOf(scanner, 20_000), kernelOf(scanner, 4_000_000)];
    fc.assert(
      fc.property(texts, fc.nat(), fc.nat(), noise, (text, one, two, inserted) => {
        const [first, second] = [one % (text.length + 1), two % (text.length + 1)];
        const cuts = [
          text,
          text.slice(0, first),
          text.slice(first),
          text.slice(0, first) + inserted + text.slice(second),
          inserted + text,
        ];
        for (const cut of cuts) {
          if (cut.length > TokenKernel.textCharsMax) continue;
          const expected = idsOf(twin, cut);
          for (const kernel of kernels) expect(idsOf(kernel, cut)).toEqual(expected);
        }
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('lets chunks end only where the words of both parts together are the words of the whole', () => {
    const kernel = kernelOf(scanner, 0);
    const ends = (bytes: Uint8Array, from: number, to: number): number[] => {
      const found: number[] = [];
      for (let at = from; at < to; at = found.at(-1)!) found.push(scanner.wordEnd(bytes, at, to));
      return found;
    };
    let cuts = 0;
    fc.assert(
      fc.property(noise, (text) => {
        const bytes = new TextEncoder().encode(text);
        const whole = ends(bytes, 0, bytes.length);
        for (let at = 1; at < bytes.length; at++) {
          if (!kernel.splitsAt(text, at)) continue;
          cuts++;
          expect([...ends(bytes, 0, at), ...ends(bytes, at, bytes.length)]).toEqual(whole);
        }
      }),
      { numRuns: 1500, seed: 4 },
    );
    expect(cuts).toBeGreaterThan(1000);
  });

  it('equals its twin on short texts in any mixture of classes', () => {
    const twin = twinOf(scanner);
    const kernel = kernelOf(scanner, 100_000);
    fc.assert(
      fc.property(noise, (text) => {
        expect(idsOf(kernel, text)).toEqual(idsOf(twin, text));
      }),
      { numRuns: 3000, seed: 2 },
    );
  });
});

it('equals its twin if the merges are a list of pairs', () => {
  const merges = pairMerges(30_000);
  const twin = twinOf(builtinScanner, vocabulary, merges);
  const kernel = kernelOf(builtinScanner, 200_000, merges);
  fc.assert(
    fc.property(texts, (text) => {
      const cut = text.slice(0, TokenKernel.textCharsMax);
      expect(idsOf(kernel, cut)).toEqual(idsOf(twin, cut));
    }),
    { numRuns: 60, seed: 3 },
  );
});

describe('with vocabularies whose merges contradict each other, so that some tokens are never reached', () => {
  const letters = fc.constantFrom('a', 'b', 'c');
  const word = fc.string({ unit: letters, minLength: 1, maxLength: 220 });
  const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '));
  /** Every byte, then these, in this order. */
  const vocabularyWith = (tokens: readonly string[]): Vocabulary => {
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
    const all = [...new Set([...bytes, ...tokens])];
    const starts = [0];
    for (const token of all) starts.push(starts.at(-1)! + token.length);
    return vocabularyOf(Buffer.from(all.join(''), 'latin1'), Uint32Array.from(starts));
  };
  const expectTwin = (ofVocabulary: Vocabulary, merges: Merges, texts: readonly string[]): void => {
    const twin = twinOf(builtinScanner, ofVocabulary, merges);
    const kernel = new TokenKernel({
      vocabulary: ofVocabulary,
      merges,
      rules: builtinScanner.rules,
      chunkBytesMax: 0,
    });
    for (const each of texts) expect(idsOf(kernel, each)).toEqual(idsOf(twin, each));
  };
  const someTexts = fc.array(text, { minLength: 4, maxLength: 12 });

  it('equals its twin if the merges are ranked by token', () => {
    const tokens = fc.array(fc.string({ unit: letters, minLength: 2, maxLength: 9 }), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(tokens, someTexts, (chosen, texts) => {
        const made = vocabularyWith(chosen);
        expectTwin(made, new TokenMerges(made), texts);
      }),
      { numRuns: 150, seed: 6 },
    );
  });

  it('equals its twin if the merges are a list of pairs in any order', () => {
    const steps = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(steps, someTexts, (chosen, texts) => {
        const tokens = ['a', 'b', 'c'];
        const merges: { left: string; right: string; order: number }[] = [];
        for (const [one, two, order] of chosen) {
          const [left, right] = [tokens[one % tokens.length]!, tokens[two % tokens.length]!];
          if (left.length + right.length > 240) continue;
          tokens.push(left + right);
          merges.push({ left, right, order });
        }
        merges.sort((one, other) => one.order - other.order);
        const made = vocabularyWith(tokens);
        const ids = new Map<string, number>();
        for (let id = 0; id < made.size; id++) ids.set(Buffer.from(made.tokenBytes(id)).toString('latin1'), id);
        const column = (textOf: (merge: (typeof merges)[number]) => string): Uint32Array =>
          Uint32Array.from(merges, (merge) => ids.get(textOf(merge))!);
        const tables = pairTables(
          column(({ left }) => left),
          column(({ right }) => right),
          column(({ left, right }) => left + right),
        );
        expectTwin(made, new PairMerges(tables, made), texts);
      }),
      { numRuns: 150, seed: 7 },
    );
  });
});

it('equals its twin on the longest text, in one word and at three bytes a character', () => {
  const twin = twinOf(builtinScanner);
  const kernel = kernelOf(builtinScanner, 1_000_000);
  for (const part of ['語', 'ab', '\u0000', '\ud800']) {
    const text = part.repeat(TokenKernel.textCharsMax / part.length);
    expect(idsOf(kernel, text)).toEqual(idsOf(twin, text));
  }
});

describe('the chunks', () => {
  const textOf = (seed: number, words: number): string => {
    let state = seed;
    const next = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 8;
    };
    return Array.from({ length: words }, () => (next() % 46_656).toString(36)).join(' ');
  };
  /** Bytes of `text` that are split into words. */
  const splitBy = (kernel: TokenKernel, text: string): number => {
    const before = kernel.bytesSplit;
    idsOf(kernel, text);
    return kernel.bytesSplit - before;
  };

  it('splits a shared beginning once, also inside one text', () => {
    const kernel = kernelOf(builtinScanner, 4_000_000);
    const shared = textOf(1, 4000);
    splitBy(kernel, `${shared} ${textOf(2, 1000)}`);
    const own = textOf(3, 1000);
    const split = splitBy(kernel, `${shared} ${own}`);
    expect(split).toBeGreaterThanOrEqual(own.length);
    expect(split).toBeLessThan(own.length + 6000);
  });

  it('reuses a text after a different beginning', () => {
    const kernel = kernelOf(builtinScanner, 4_000_000);
    const shared = textOf(4, 4000);
    splitBy(kernel, `It is Monday. ${shared}`);
    expect(splitBy(kernel, `Today it is Tuesday, the 14th: ${shared}`)).toBeLessThan(8000);
  });

  it('keeps used chunks and evicts the rest, in bounded memory', () => {
    const kernel = kernelOf(builtinScanner, 200_000);
    const none = kernelOf(builtinScanner, 0).memoryBytes;
    const used = textOf(5, 3000);
    const once = textOf(6, 3000);
    splitBy(kernel, used);
    splitBy(kernel, once);
    for (let round = 0; round < 40; round++) {
      expect(splitBy(kernel, used)).toBe(0);
      splitBy(kernel, textOf(100 + round, 1500));
    }
    expect(splitBy(kernel, once)).toBe(once.length);
    expect(kernel.memoryBytes - none).toBeLessThanOrEqual(200_000 + 65_536);
  });

  it('never grows the memory, which would slow down the whole thread', () => {
    const kernel = kernelOf(builtinScanner, 200_000);
    const { memoryBytes } = kernel;
    for (let round = 0; round < 60; round++) splitBy(kernel, textOf(200 + round, 1500));
    expect(kernel.memoryBytes).toBe(memoryBytes);
  });

  it('keeps none if there is no memory for them', () => {
    const kernel = kernelOf(builtinScanner, 0);
    const text = textOf(7, 1000);
    expect([splitBy(kernel, text), splitBy(kernel, text)]).toEqual([text.length, text.length]);
  });
});

it('is the kernel that its source compiles to', async () => {
  const { compileKernel } = (await import('../../scripts/build-kernel.mjs' as string)) as {
    compileKernel(name: string): Promise<Buffer>;
  };
  expect((await compileKernel('tokens')).toString('base64')).toBe(kernelBase64);
});
