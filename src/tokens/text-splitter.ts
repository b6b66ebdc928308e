// Splits a text into words: by a hand-written scanner for known patterns, else by regexes.

import { gpt2Pattern } from './byte-level-spec.ts';
import { huggingFaceCasedClasses, huggingFaceClasses, tiktokenClasses } from './character-classes.ts';
import { Cl100kScanner } from './cl100k-scanner.ts';
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
const o200kLike = (numbers: string, contraction: string): string =>
  `${prefix}${upper}*${lower}+${contraction}|${prefix}${upper}+${lower}*${contraction}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;

/** Whitespace in JavaScript, and so in js-tiktoken. */
const white = '\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff';

/** The pattern of the builtin tokenizer: as above, with that whitespace and ASCII case folding only. */
export const builtinPattern: string =
  `'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|${prefix}\\p{L}+|\\p{N}{1,3}| ?[^${white}\\p{L}\\p{N}]+[\\r\\n]*` +
  `|[${white}]*[\\r\\n]+|[${white}]+(?![^${white}])|[${white}]+`;

/** Exact pattern texts -> their scanners. */
const scanners: ReadonlyMap<string, () => PatternScanner> = new Map<string, () => PatternScanner>([
  [builtinPattern, () => new Cl100kScanner(tiktokenClasses(), 3, 'ascii')],
  [gpt2Pattern, () => new Gpt2Scanner(huggingFaceClasses())],
  [cl100kLike('\\p{N}{1,3}'), () => new Cl100kScanner(huggingFaceClasses(), 3, 'folded')],
  [cl100kLike('\\p{N}'), () => new Cl100kScanner(huggingFaceClasses(), 1, 'folded')],
  [o200kLike('\\p{N}{1,3}', `${contractions}?`), () => new O200kScanner(huggingFaceCasedClasses(), 3, 'folded')],
  [o200kLike('\\p{N}', ''), () => new O200kScanner(huggingFaceCasedClasses(), 1, null)],
]);

/**
 * @param patterns each applied to the pieces of the previous one; every match and every gap is a piece
 * @param blankBefore adds a blank before every word that does not start with one
 * @throws UnknownPattern
 */
export function makeSplitter(patterns: readonly string[], blankBefore: boolean): TextSplitter {
  const scanner = patterns.length === 1 && !blankBefore ? scanners.get(patterns[0]!) : undefined;
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
