// The built-in tokenizer compared with js-tiktoken: languages, code, and fuzzed Unicode.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { BuiltinTokenizer, loadBuiltinTokenizer, loadVocabulary } from '../../src/tokens/builtin-tokenizer.ts';
import { tiktokenClasses } from '../../src/tokens/character-classes.ts';
import { bands, codeFiles, fuzzed } from './corpus.ts';
import { languages } from './languages.ts';
import { disputedCodePoints, oracleIds } from './oracle.ts';

const tokenizer = await loadBuiltinTokenizer();

/** Most strings are short, since the oracle's time grows with the square of a word's length. */
const fuzzedStrings = 100_000;

function differs(ours: Uint32Array, theirs: readonly number[]): boolean {
  return ours.length !== theirs.length || theirs.some((id, index) => ours[index] !== id);
}

describe('builtin tokenizer', () => {
  it.each(Object.entries(languages))('equals the oracle on %s', (_language, text) => {
    expect(Array.from(tokenizer.encode(text))).toEqual(oracleIds(text));
    const upper = `${text.toUpperCase()}\n\n${text}`;
    expect(Array.from(tokenizer.encode(upper))).toEqual(oracleIds(upper));
  });

  it('equals the oracle on code', () => {
    const files = codeFiles();
    expect(files.length).toBeGreaterThan(40);
    const wrong = files.filter((file) => {
      const text = readFileSync(file, 'utf8');
      return differs(tokenizer.encode(text), oracleIds(text));
    });
    expect(wrong).toEqual([]);
  });

  it(`equals the oracle on ${fuzzedStrings} fuzzed Unicode strings`, () => {
    const random = new Random(20);
    const disputed = disputedCodePoints();
    const wrong: string[] = [];
    for (let left = fuzzedStrings; left > 0; left--) {
      const text = fuzzed(random, disputed);
      if (differs(tokenizer.encode(text), oracleIds(text))) wrong.push(text);
    }
    expect(wrong.map((text) => JSON.stringify(text))).toEqual([]);
  });

  it('equals the oracle on long texts, with segments cut and found again', () => {
    const random = new Random(21);
    const parts = Object.values(languages);
    for (let round = 0; round < 12; round++) {
      const text = Array.from({ length: 120 }, () => parts[random.below(parts.length)]!).join(
        [' ', '\n', '<|im_end|>'][round % 3],
      );
      const ids = oracleIds(text);
      expect(differs(tokenizer.encode(text), ids)).toBe(false);
      expect(differs(tokenizer.encode(text), ids)).toBe(false);
    }
  });

  it('recognizes added tokens like the oracle, wherever they are', () => {
    const random = new Random(22);
    const pieces = [
      '<|im_start|>',
      '<|im_end|>',
      '<|endoftext|>',
      '<|endofprompt|>',
      '<|',
      '|>',
      '<|im_',
      ' ',
      '\n',
      'a',
      '  ',
    ];
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: 1 + random.below(9) }, () => pieces[random.below(pieces.length)]!).join('');
      expect(Array.from(tokenizer.encode(text)), JSON.stringify(text)).toEqual(oracleIds(text));
    }
  });
});

describe('segment cache', () => {
  it('changes no id, whatever it caches', async () => {
    const vocabulary = await loadVocabulary();
    const none = new BuiltinTokenizer(vocabulary, { segmentCacheBytesMax: 0 });
    const little = new BuiltinTokenizer(vocabulary, { segmentCacheBytesMax: 60_000 });
    const random = new Random(23);
    const parts = Object.values(languages);
    const prompts = Array.from({ length: 8 }, () =>
      Array.from({ length: 80 }, () => parts[random.below(parts.length)]!).join(' '),
    );
    for (let round = 0; round < 60; round++) {
      const prompt = prompts[random.below(prompts.length)]!;
      const text = prompt.slice(0, 1 + random.below(prompt.length)) + String(round);
      const expected = none.encode(text);
      expect(little.encode(text)).toEqual(expected);
      expect(tokenizer.encode(text)).toEqual(expected);
    }
  });
});

it('covers every class of characters', () => {
  const seen = new Set(bands.flatMap(([first, last]) => Array.from(tiktokenClasses().subarray(first, last + 1))));
  expect([...seen].toSorted()).toEqual([0, 1, 2, 3, 4]);
});
