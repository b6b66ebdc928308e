// The generated character tables compared with the package, code point by code point.

import { nfcNormalizer } from 'tokenizers';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { huggingFaceCasedClasses, huggingFaceClasses } from '../../src/tokens/character-classes.ts';
import { expandRuns } from '../../src/tokens/expand-runs.ts';
import {
  categoryRuns,
  categorySha256,
  inertRuns,
  inertSha256,
  whiteRuns,
  whiteSha256,
  wordRuns,
  wordSha256,
} from '../../src/tokens/hugging-face-unicode.generated.ts';
import { isWordCharacter, normalizeNfc } from '../../src/tokens/hugging-face-unicode.ts';
import { Oracle } from './hugging-face-oracle.ts';
import { sha256 } from './oracle.ts';

const codePointCount = 0x110000;
const isSurrogate = (codePoint: number): boolean => codePoint >= 0xd800 && codePoint < 0xe000;

it.each([
  ['category', categoryRuns, categorySha256],
  ['white', whiteRuns, whiteSha256],
  ['word', wordRuns, wordSha256],
  ['inert', inertRuns, inertSha256],
])('the table %s expands to the generated one', (_name, runs, sum) => {
  expect(sha256(expandRuns(runs))).toBe(sum);
});

/** Code points that a regex of the package matches; surrogates never. */
function matched(pattern: string): Uint8Array {
  const file = {
    version: '1.0',
    added_tokens: [],
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: false },
    model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' },
  };
  const splitter = Oracle.fromString(JSON.stringify(file)).getPreTokenizer()!;
  const found = new Uint8Array(codePointCount);
  for (let start = 0; start < codePointCount; start += 0x400) {
    const members = Array.from({ length: 0x400 }, (_, index) => start + index).filter((each) => !isSurrogate(each));
    if (members.length === 0) continue;
    for (const member of members) found[member] = 1;
    for (const [rest] of splitter.preTokenizeString(String.fromCodePoint(...members))) {
      for (const character of rest) found[character.codePointAt(0)!] = 0;
    }
  }
  return found;
}

describe('classes', () => {
  it.each([
    ['\\p{L}', [1], huggingFaceClasses()],
    ['\\p{N}', [2], huggingFaceClasses()],
    ['\\s', [3, 4], huggingFaceClasses()],
    ['[\\r\\n]', [4], huggingFaceCasedClasses()],
    ['[\\p{Lu}\\p{Lt}]', [5], huggingFaceCasedClasses()],
    ['\\p{Ll}', [6], huggingFaceCasedClasses()],
    ['[\\p{Lm}\\p{Lo}]', [1], huggingFaceCasedClasses()],
    ['\\p{M}', [7], huggingFaceCasedClasses()],
    ['[^\\s\\p{L}\\p{N}]', [0, 7], huggingFaceCasedClasses()],
  ])('contain what %s matches, on every code point', (pattern, classes, table) => {
    const theirs = matched(pattern);
    const wrong: string[] = [];
    for (let codePoint = 0; codePoint < codePointCount; codePoint++) {
      const ours = classes.includes(table[codePoint]!);
      if (!isSurrogate(codePoint) && ours !== (theirs[codePoint] === 1)) wrong.push(codePoint.toString(16));
    }
    expect(wrong).toEqual([]);
  });
});

describe('normalization', () => {
  const oracle = nfcNormalizer();

  it('is the same on every code point, alone and among marks', () => {
    const wrong: string[] = [];
    for (let codePoint = 0x80; codePoint < codePointCount; codePoint++) {
      if (isSurrogate(codePoint)) continue;
      const text = `e${String.fromCodePoint(codePoint)}\u0345\u0301\u0323${String.fromCodePoint(codePoint)}\u0308`;
      if (normalizeNfc(text) !== oracle.normalizeString(text)) wrong.push(codePoint.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  it('is the same on any sequence of characters that move, compose or stay', () => {
    const lively: number[] = [];
    const inert = expandRuns(inertRuns);
    for (let codePoint = 0x80; codePoint < codePointCount; codePoint++) {
      const character = String.fromCodePoint(codePoint);
      const moves = /\p{M}/u.test(character) || character.normalize('NFD') !== character;
      if (!isSurrogate(codePoint) && moves && (codePoint < 0xac00 || codePoint > 0xd7a3)) lively.push(codePoint);
    }
    expect(lively.some((codePoint) => inert[codePoint] === 1)).toBe(true);
    const random = new Random(40);
    const more = [0x41, 0x65, 0x1100, 0x1161, 0x11a8, 0xac00, 0xac01, 0x0b47, 0x0dd9];
    const wrong: string[] = [];
    for (let round = 0; round < 100_000; round++) {
      let text = '';
      for (let left = 1 + random.below(6); left > 0; left--) {
        const from = random.below(3) === 0 ? more : lively;
        text += String.fromCodePoint(from[random.below(from.length)]!);
      }
      if (normalizeNfc(text) !== oracle.normalizeString(text)) wrong.push(JSON.stringify(text));
    }
    expect(wrong).toEqual([]);
  });
});

it('words end as in the package, for tokens that stand alone', () => {
  const parts = [...'aé語0٣_', '\u0301', '\u200d', '\u24b6'];
  expect(parts.filter((part) => !isWordCharacter(part.codePointAt(0)!))).toEqual([]);
  expect([...' .-\n½😀\ufffd'].filter((part) => isWordCharacter(part.codePointAt(0)!))).toEqual([]);
  expect(isWordCharacter(-1)).toBe(false);
});
