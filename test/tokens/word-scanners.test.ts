// The hand-written word scanners compared with the regexes that they replace.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deepSeekClasses,
  huggingFaceCasedClasses,
  huggingFaceClasses,
  huggingFaceMarkedClasses,
  tiktokenClasses,
} from '../../src/tokens/character-classes.ts';
import { Cl100kScanner } from '../../src/tokens/cl100k-scanner.ts';
import { DeepSeekScanner } from '../../src/tokens/deepseek-scanner.ts';
import { Gpt2Scanner } from '../../src/tokens/gpt2-scanner.ts';
import { O200kScanner } from '../../src/tokens/o200k-scanner.ts';
import type { WordScanner } from '../../src/tokens/word-scanner.ts';
import { naiveWords, patterns } from '../model/bpe-naive.ts';

/** Members of every class and UTF-8 length whose class is the same in all Unicode versions. */
const characters = [
  ..."abcXYZsStTrReEvVmMlLdD'''",
  ...'0129 ½Ⅷ٣𝟘',
  ...'    \t\u00a0\u2003\u3000\v',
  ...'\n\n\r\r',
  ...'.,!?"-_//<|>€…😀\u0000\ufffd\u200d',
  ...'\u0301\u0301\u20dd\u0903\u{1e944}',
  ...'éßжשقक語각ǅʰ𐌰𐐀ſ',
  ...'一龥龦かゟァー・゠゛゜\u3099\u3097\u3040。，〇々㐀',
  '\ue000',
  '\u0007',
  '\ud800',
  '\udfff',
];
/** Characters on which ECMAScript's whitespace differs from Unicode's. */
const ecmaScriptOnly = ['\ufeff', '\u0085'];
const textOf = (members: readonly string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...members), { maxLength: 40 }).map((parts) => parts.join(''));

function scannedWords(text: string, scanner: WordScanner): string[] {
  const bytes = new TextEncoder().encode(text);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = scanner.wordEnd(bytes, at, bytes.length);
    words.push(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at, end)));
    at = end;
  }
  return words;
}

const builtin = new Cl100kScanner(tiktokenClasses(), 3, 'ascii');

describe('the scanner of cl100k', () => {
  it.each([
    ["I'll don'T 'start 's", ['I', "'ll", ' don', "'T", " '", 'start', " '", 's']],
    ['a  b \t c', ['a', ' ', ' b', ' \t', ' c']],
    ['x  \n \n  y', ['x', '  \n \n', ' ', ' y']],
    ['12345 6', ['123', '45', ' ', '6']],
    ['(foo)((bar\r\n', ['(foo', ')((', 'bar', '\r\n']],
    ['end.\r\n\r\nNext', ['end', '.\r\n\r\n', 'Next']],
    ['tail   ', ['tail', '   ']],
  ])('splits %j', (text, words) => {
    expect(naiveWords(text)).toEqual(words);
    expect(scannedWords(text, builtin)).toEqual(words);
  });
});

describe('the scanner of deepseek', () => {
  const scanner = new DeepSeekScanner(deepSeekClasses());
  it.each([
    ['.map ..map .été', ['.map', ' ..', 'map', ' .', 'été']],
    ['a  1  語  b  ', ['a', '  ', '1', '  ', '語', ' ', ' b', '  ']],
    ['12345語6', ['123', '45', '語', '6']],
    ['ab漢字かなー・カ。\n龦語', ['ab', '漢字かなー', '・', 'カ', '。\n', '龦', '語']],
    ['\0\0\0abc\0\0 \0', ['\0\0', '\0abc', '\0\0', ' ', '\0']],
    ['・\n\u3040ア\u3040', ['・', '\n', '\u3040ア', '\u3040']],
    ['x +=\r\n\r\n\t\ty', ['x', ' +=\r\n\r\n', '\t', '\ty']],
    ['e\u0301\u0301te \u0301.\u0301a', ['e\u0301\u0301te', ' \u0301', '.', '\u0301a']],
  ])('splits %j', (text, words) => {
    expect(naiveWords(text, patterns.deepSeek)).toEqual(words);
    expect(scannedWords(text, scanner)).toEqual(words);
  });
});

describe.each([
  ['cl100k', builtin, patterns.cl100k, [...characters, ...ecmaScriptOnly]],
  ['qwen', new Cl100kScanner(huggingFaceClasses(), 1, 'folded'), patterns.qwen, characters],
  ['gpt2', new Gpt2Scanner(huggingFaceClasses()), patterns.gpt2, characters],
  ['o200k', new O200kScanner(huggingFaceCasedClasses(), 3, 'folded'), patterns.o200k, characters],
  ['qwen 3.5', new Cl100kScanner(huggingFaceMarkedClasses(), 1, 'folded'), patterns.qwen35, characters],
  ['deepseek', new DeepSeekScanner(deepSeekClasses()), patterns.deepSeek, characters],
  ['tekken', new O200kScanner(huggingFaceCasedClasses(), 1, null), patterns.tekken, characters],
])('the scanner of %s', (_name, scanner, pattern, members) => {
  const texts = textOf(members);

  it("finds the regex's words in any mixture of classes", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const expected = naiveWords(text, pattern).map((word) => Buffer.from(word).toString());
        expect(scannedWords(text, scanner)).toEqual(expected);
      }),
      { numRuns: 5000, seed: 1 },
    );
  });

  it('recognizes places where splitting both parts separately gives the words of the whole', () => {
    let cuts = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const whole = naiveWords(text, pattern);
        for (let at = 1; at < text.length; at++) {
          if (!scanner.alwaysSplits(text.charCodeAt(at - 1), text.charCodeAt(at))) continue;
          cuts++;
          expect([...naiveWords(text.slice(0, at), pattern), ...naiveWords(text.slice(at), pattern)]).toEqual(whole);
        }
      }),
      { numRuns: 3000, seed: 2 },
    );
    expect(cuts).toBeGreaterThan(1000);
  });
});
