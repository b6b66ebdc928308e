// The hand-written word scanner against the regex that it stands for.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alwaysSplits, wordEnd } from '../../src/tokens/split-words.ts';
import { naiveWords } from '../model/bpe-naive.ts';

/** Members of every class, of every UTF-8 length, that no Unicode version will move to another class. */
const characters = [
  ..."abcXYZsStTrReEvVmMlLdD'''",
  ...'0129 ½Ⅷ٣𝟘',
  ...'    \t\u00a0\u2003\u3000\ufeff\v',
  ...'\n\n\r\r',
  ...'.,!?"-_/<|>€…😀\u0000\u0301\ufffd\u200d\u0085',
  ...'éßжשقक語각ǅʰ𐌰𐐀',
  '\ud800',
  '\udfff',
];
const texts = fc.array(fc.constantFrom(...characters), { maxLength: 40 }).map((parts) => parts.join(''));

function scannedWords(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = wordEnd(bytes, at, bytes.length);
    words.push(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at, end)));
    at = end;
  }
  return words;
}

describe('wordEnd', () => {
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
    expect(scannedWords(text)).toEqual(words);
  });

  it('equals the regex on any mixture of classes', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(scannedWords(text)).toEqual(naiveWords(text).map((word) => Buffer.from(word).toString()));
      }),
      { numRuns: 5000, seed: 1 },
    );
  });
});

describe('alwaysSplits', () => {
  it('is true only where the words of both parts together are the words of the whole', () => {
    let cuts = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const whole = naiveWords(text);
        for (let at = 1; at < text.length; at++) {
          if (!alwaysSplits(text.charCodeAt(at - 1), text.charCodeAt(at))) continue;
          cuts++;
          expect([...naiveWords(text.slice(0, at)), ...naiveWords(text.slice(at))]).toEqual(whole);
        }
      }),
      { numRuns: 3000, seed: 2 },
    );
    expect(cuts).toBeGreaterThan(1000);
  });
});
