// Finds the words of the split pattern of o200k and of its kin (tekken) by hand, over UTF-8 bytes.
//
// The pattern, alternatives tried in this order at every position, with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}],
// W = [\p{Ll}\p{Lm}\p{Lo}\p{M}] and C = 's 't 're 've 'm 'll 'd in any case (tekken has no C):
//   1. [^\r\n\p{L}\p{N}]?U*W+C?
//   2. [^\r\n\p{L}\p{N}]?U+W*C?
//   3. \p{N}{1,3}, or \p{N} alone
//   4. ' '?[^\s\p{L}\p{N}]+[\r\n/]*
//   5. \s*[\r\n]+
//   6. \s+(?!\S)
//   7. \s+

import {
  type CharacterClasses,
  letter,
  lower,
  mark,
  newline,
  number,
  other,
  space,
  upper,
} from './character-classes.ts';
import { apostrophe, type ContractionCase, contractionEnd } from './contraction.ts';
import { whitespaceEnd } from './whitespace-run.ts';
import {
  characterBytes,
  classAt,
  isSurrogate,
  type PatternScanner,
  runEnd,
  type ScannerRules,
} from './word-scanner.ts';

const blank = 0x20;
const slash = 0x2f;

export class O200kScanner implements PatternScanner {
  readonly rules: ScannerRules;
  readonly #classes: CharacterClasses;
  readonly #numbersMax: number;
  readonly #contractions: ContractionCase | null;

  /**
   * @param classes with cases
   * @param numbersMax numbers in one word
   * @param contractions null: words never include one
   */
  constructor(classes: CharacterClasses, numbersMax: number, contractions: ContractionCase | null) {
    this.rules = { kind: 'o200k', classes, numbersMax, contractions };
    this.#classes = classes;
    this.#numbersMax = numbersMax;
    this.#contractions = contractions;
  }

  wordEnd(bytes: Uint8Array, at: number, end: number): number {
    const classes = this.#classes;
    const lead = bytes[at]!;
    const next = at + characterBytes(lead);
    const kind = classAt(classes, bytes, at);
    if (kind === number) return runEnd(classes, number, bytes, next, end, this.#numbersMax - 1);
    if (kind !== newline) {
      const word = this.#casedWordEnd(bytes, at, kind === space || kind === other || kind === mark ? next : -1, end);
      if (word !== -1) return this.#withContraction(bytes, word, end);
    }
    if (kind === other) return this.#othersEnd(bytes, next, end);
    const followed = next < end && lead === blank ? classAt(classes, bytes, next) : space;
    if (followed === other || followed === mark) return this.#othersEnd(bytes, next, end);
    return whitespaceEnd(classes, bytes, at, end, true);
  }

  /**
   * True after a letter that is not followed by a letter, a mark or an apostrophe: alternatives 1 and 2 end there at
   * the latest, the others take no letter, and the only lookahead (6) starts at whitespace.
   */
  alwaysSplits(before: number, after: number): boolean {
    if (after === apostrophe || isSurrogate(after)) return false;
    const behind = this.#classes[after]!;
    return isLetter(this.#classes[before]!) && !isLetter(behind) && behind !== mark;
  }

  /**
   * Alternatives 1 and 2 without the contraction; -1 if neither matches.
   * @param behindPrefix position after the optional first character; -1 if it can't be one
   */
  #casedWordEnd(bytes: Uint8Array, at: number, behindPrefix: number, end: number): number {
    if (behindPrefix !== -1) {
      const prefixed = this.#lowerEndingEnd(bytes, behindPrefix, end);
      if (prefixed !== -1) return prefixed;
    }
    const plain = this.#lowerEndingEnd(bytes, at, end);
    if (plain !== -1) return plain;
    // Once alternative 1 has failed, no member of W follows the longest run of U, so W* is empty.
    if (behindPrefix !== -1) {
      const prefixed = this.#upperRunEnd(bytes, behindPrefix, end);
      if (prefixed > behindPrefix) return prefixed;
    }
    const run = this.#upperRunEnd(bytes, at, end);
    return run > at ? run : -1;
  }

  /** `U*W+` from `from` on; -1 if it does not match. */
  #lowerEndingEnd(bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    /** End of the last character of the run that is also in W: U* backtracks to it if no W follows. */
    let givenBack = -1;
    let at = from;
    let kind = other;
    while (at < end) {
      kind = classAt(classes, bytes, at);
      if (kind !== upper && kind !== letter && kind !== mark) break;
      at += characterBytes(bytes[at]!);
      if (kind !== upper) givenBack = at;
    }
    if (at === end || kind !== lower) return givenBack;
    while (at < end) {
      kind = classAt(classes, bytes, at);
      if (kind !== lower && kind !== letter && kind !== mark) break;
      at += characterBytes(bytes[at]!);
    }
    return at;
  }

  /** End of `U*`. */
  #upperRunEnd(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    while (at < end) {
      const kind = classAt(this.#classes, bytes, at);
      if (kind !== upper && kind !== letter && kind !== mark) break;
      at += characterBytes(bytes[at]!);
    }
    return at;
  }

  #withContraction(bytes: Uint8Array, word: number, end: number): number {
    if (this.#contractions === null || word >= end || bytes[word] !== apostrophe) return word;
    const contraction = contractionEnd(bytes, word + 1, end, this.#contractions);
    return contraction === -1 ? word : contraction;
  }

  /** Alternative 4, after its first character. */
  #othersEnd(bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    let at = from;
    while (at < end) {
      const kind = classAt(classes, bytes, at);
      if (kind !== other && kind !== mark) break;
      at += characterBytes(bytes[at]!);
    }
    while (at < end && (classAt(classes, bytes, at) === newline || bytes[at] === slash)) at++;
    return at;
  }
}

function isLetter(kind: number): boolean {
  return kind === letter || kind === upper || kind === lower;
}
