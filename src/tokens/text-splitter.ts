// Splits a text into words: by a hand-written scanner for known patterns, else by regexes.

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
import {
  builtinPattern,
  cl100kPattern,
  deepSeekPatterns,
  gpt2Pattern,
  markedPattern,
  o200kPattern,
  qwenPattern,
  tekkenPattern,
} from './split-patterns.ts';
import type { PatternScanner } from './word-scanner.ts';

export type TextSplitter =
  | { readonly kind: 'scanner'; readonly scanner: PatternScanner }
  | { readonly kind: 'regexes'; readonly split: (text: string) => readonly string[] };

const keyOf = (...patterns: readonly string[]): string => JSON.stringify(patterns);

/** Exact pattern texts -> their scanners. */
const scanners: ReadonlyMap<string, () => PatternScanner> = new Map<string, () => PatternScanner>([
  [keyOf(builtinPattern), () => new Cl100kScanner(tiktokenClasses(), 3, 'ascii')],
  [keyOf(gpt2Pattern), () => new Gpt2Scanner(huggingFaceClasses())],
  [keyOf(cl100kPattern), () => new Cl100kScanner(huggingFaceClasses(), 3, 'folded')],
  [keyOf(qwenPattern), () => new Cl100kScanner(huggingFaceClasses(), 1, 'folded')],
  [keyOf(markedPattern), () => new Cl100kScanner(huggingFaceMarkedClasses(), 1, 'folded')],
  [keyOf(o200kPattern), () => new O200kScanner(huggingFaceCasedClasses(), 3, 'folded')],
  [keyOf(tekkenPattern), () => new O200kScanner(huggingFaceCasedClasses(), 1, null)],
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
