// Splits a text into words: by a hand-written scanner for known patterns, else by regexes.

import { gpt2Pattern } from './byte-level-spec.ts';
import {
  deepSeekClasses,
  huggingFaceCasedClasses,
  huggingFaceClasses,
  huggingFaceMarkedClasses,
  tiktokenClasses,
} from './character-classes.ts';
import { Cl100kScanner } from './cl100k-scanner.ts';
import { DeepSeekScanner } from './deepseek-scanner.ts';
import { Gpt2Scanner } from './gpt2-scanner.ts';
import { O200kScanner } from './o200k-scanner.ts';
import { translatePattern } from './oniguruma-pattern.ts';
import type { PatternScanner } from './word-scanner.ts';

export type TextSplitter =
  | { readonly kind: 'scanner'; readonly scanner: PatternScanner }
  | { readonly kind: 'regexes'; readonly split: (text: string) => readonly string[] };

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const prefix = '[^\\r\\n\\p{L}\\p{N}]?';
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const cl100kLike = (numbers: string): string =>
  `${contractions}|${prefix}\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
/** Qwen 3.5: marks belong to words. */
const markedLike = `${contractions}|${prefix}[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${spaces}`;
const o200kLike = (numbers: string, contraction: string): string =>
  `${prefix}${upper}*${lower}+${contraction}|${prefix}${upper}+${lower}*${contraction}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;

/** Whitespace in JavaScript, and so in js-tiktoken. */
const white = '\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff';

/** The pattern of the builtin tokenizer: as above, with that whitespace and ASCII case folding only. */
export const builtinPattern: string =
  `'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|${prefix}\\p{L}+|\\p{N}{1,3}| ?[^${white}\\p{L}\\p{N}]+[\\r\\n]*` +
  `|[${white}]*[\\r\\n]+|[${white}]+(?![^${white}])|[${white}]+`;

/** DeepSeek V3, R1 and later. CR and LF are themselves in their files, not escapes. */
export const deepSeekPatterns: readonly string[] = [
  '\\p{N}{1,3}',
  '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+' +
    '| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+',
];

const keyOf = (...patterns: readonly string[]): string => JSON.stringify(patterns);

/** Exact pattern texts -> their scanners. */
const scanners: ReadonlyMap<string, () => PatternScanner> = new Map<string, () => PatternScanner>([
  [keyOf(builtinPattern), () => new Cl100kScanner(tiktokenClasses(), 3, 'ascii')],
  [keyOf(gpt2Pattern), () => new Gpt2Scanner(huggingFaceClasses())],
  [keyOf(cl100kLike('\\p{N}{1,3}')), () => new Cl100kScanner(huggingFaceClasses(), 3, 'folded')],
  [keyOf(cl100kLike('\\p{N}')), () => new Cl100kScanner(huggingFaceClasses(), 1, 'folded')],
  [keyOf(markedLike), () => new Cl100kScanner(huggingFaceMarkedClasses(), 1, 'folded')],
  [keyOf(o200kLike('\\p{N}{1,3}', `${contractions}?`)), () => new O200kScanner(huggingFaceCasedClasses(), 3, 'folded')],
  [keyOf(o200kLike('\\p{N}', '')), () => new O200kScanner(huggingFaceCasedClasses(), 1, null)],
  [keyOf(...deepSeekPatterns), () => new DeepSeekScanner(deepSeekClasses())],
]);

/**
 * @param patterns each applied to the pieces of the previous one; every match and every gap is a piece
 * @param blankBefore adds a blank before every word that does not start with one
 * @throws UnknownPattern
 */
export function makeSplitter(patterns: readonly string[], blankBefore: boolean): TextSplitter {
  const scanner = blankBefore ? undefined : scanners.get(keyOf(...patterns));
  if (scanner !== undefined) return { kind: 'scanner', scanner: scanner() };
  const regexes = patterns.map(translatePattern);
  return {
    kind: 'regexes',
    split(text) {
      // The pattern expects UTF-8, where a lone surrogate is U+FFFD.
      let pieces = [text.replace(loneSurrogate, '\ufffd')];
      for (const regex of regexes) pieces = pieces.flatMap((piece) => matchesAndGaps(piece, regex));
      return blankBefore ? pieces.map((piece) => (piece.startsWith(' ') ? piece : ` ${piece}`)) : pieces;
    },
  };
}

const loneSurrogate = /\p{Surrogate}/gu;

function matchesAndGaps(text: string, regex: RegExp): string[] {
  const pieces: string[] = [];
  let done = 0;
  for (const { 0: match, index } of text.matchAll(regex)) {
    if (done < index) pieces.push(text.slice(done, index));
    pieces.push(match);
    done = index + match.length;
  }
  if (done < text.length) pieces.push(text.slice(done));
  return pieces;
}
