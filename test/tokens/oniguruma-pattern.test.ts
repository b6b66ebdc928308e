// Translated regexes split like the Rust `tokenizers` package; patterns without a safe translation are refused.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { translatePattern, UnknownPattern } from '../../src/tokens/oniguruma-pattern.ts';
import { makeSplitter } from '../../src/tokens/text-splitter.ts';
import { Oracle } from './hugging-face-oracle.ts';

function oracleSplit(pattern: string, text: string): string[] {
  const file = {
    version: '1.0',
    added_tokens: [],
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' },
  };
  const splitter = Oracle.fromString(JSON.stringify(file)).getPreTokenizer()!;
  return splitter.preTokenizeString(text).map(([piece]) => piece);
}

describe('a pattern', () => {
  const texts = fc
    .array(
      fc.constantFrom(
        ..."abcstXSLl''",
        ...'012½٣',
        ...' \t\n\r\u0085\u00a0\ufeff',
        ...'.,-]^/{\\',
        ...'éſßKK語ひカ😀\u0301ʰǅ',
        "'s",
        "'LL",
        '\r\n',
      ),
      { minLength: 1, maxLength: 25 },
    )
    .map((parts) => parts.join(''));

  it.each([
    '\\p{N}{1,3}',
    '[一-龥぀-ゟ゠-ヿ]+',
    '[!-/:-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    "(?i:'s|'ll|xa)|\\P{L}",
    'a+?b|(?:ab|a)(?=c|\\s)|[\\s\\S]{2}',
    '[^\\]\\-^\\\\]+',
    '[a-c0-9.-]{2,}|(X|L)+[^\\p{Ll}]',
    '\\S+\\s??|ʰ',
  ])('%s', (pattern) => {
    const splitter = makeSplitter([pattern], false);
    fc.assert(
      fc.property(texts, (text) => {
        expect(splitter.kind === 'regexes' && splitter.split(text)).toEqual(oracleSplit(pattern, text));
      }),
      { numRuns: 300, seed: 8 },
    );
  });

  it.each([
    ['possessive', 'a++'],
    ['looking behind', '(?<=a)b'],
    ['anchored', '^a'],
    ['with a dot', 'a.'],
    ['with an atomic group', '(?>a)b'],
    ['with nested sets', '[a[bc]]'],
    ['with an intersection', '[a-z&&b]'],
    ['with a back reference', '(a)\\1'],
    ['with a class of another name', '\\p{Han}'],
    ['with a negated class of the other spelling', '\\p{^L}'],
    ['with \\w', '\\w+'],
    ['folding what folds in a way of its own', '(?i:ss)'],
    ['folding a Kelvin sign', '(?i:k)'],
    ['folding more than letters', '(?i:[a-z])'],
    ['that can match nothing', 'a*'],
    ['repeating what can match nothing', '(?:a*)+b'],
    ['with an empty alternative', 'a|'],
    ['with an empty set', '[]a]'],
    ['with a set that runs backwards', '[z-a]'],
    ['with a class as the end of a range', '[a-\\s]'],
    ['left open', '(?:a'],
    ['closed too often', 'a)'],
    ['with a set left open', '[a'],
    ['that ends with a backslash', 'a\\'],
    ['with nothing to repeat', '+a'],
    ['with a strange count', 'a{,3}'],
    ['with a lazy count', 'a{1,3}?'],
  ])('%s is refused', (_what, pattern) => {
    expect(() => translatePattern(pattern)).toThrow(UnknownPattern);
  });
});

it('a blank is inserted before every word that has none', () => {
  const splitter = makeSplitter(['\\p{L}+'], true);
  expect(splitter.kind === 'regexes' && splitter.split('ab 1c')).toEqual([' ab', ' 1', ' c']);
});
