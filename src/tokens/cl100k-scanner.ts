// Finds the words of the split pattern of cl100k and of its kin (Llama 3, Qwen 2 and 3) by hand, over UTF-8 bytes.
//
// The pattern, alternatives tried in this order at every position:
//   1. 's 't 're 've 'm 'll 'd, in any case
//   2. [^\r\n\p{L}\p{N}]?\p{L}+
//   3. \p{N}{1,3}, or \p{N} alone
//   4. ' '?[^\s\p{L}\p{N}]+[\r\n]*
//   5. \s*[\r\n]+
//   6. \s+(?!\S)
//   7. \s+

import { type CharacterClasses, letter, newline, number, other, space } from './character-classes.ts';
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

export class Cl100kScanner implements PatternScanner {
  readonly rules: ScannerRules;
  readonly #classes: CharacterClasses;
  readonly #numbersMax: number;
  readonly #contractions: ContractionCase;

  /**
   * @param classes without cases
   * @param numbersMax numbers in one word
   */
  constructor(classes: CharacterClasses, numbersMax: number, contractions: ContractionCase) {
    this.rules = { kind: 'cl100k', classes, numbersMax, contractions };
    this.#classes = classes;
    this.#numbersMax = numbersMax;
    this.#contractions = contractions;
  }

  wordEnd(bytes: Uint8Array, at: number, end: number): number {
    const classes = this.#classes;
    const lead = bytes[at]!;
    const next = at + characterBytes(lead);
    switch (classAt(classes, bytes, at)) {
      case letter:
        return runEnd(classes, letter, bytes, next, end);
      case number:
        return runEnd(classes, number, bytes, next, end, this.#numbersMax - 1);
      case newline:
        return whitespaceEnd(classes, bytes, at, end, true);
      case space: {
        const following = next < end ? classAt(classes, bytes, next) : newline;
        if (following === letter) return runEnd(classes, letter, bytes, next, end);
        if (following === other && lead === blank) return this.#othersEnd(bytes, next, end);
        return whitespaceEnd(classes, bytes, at, end, true);
      }
      default: {
        if (lead === apostrophe) {
          const contraction = contractionEnd(bytes, next, end, this.#contractions);
          if (contraction !== -1) return contraction;
        }
        if (next < end && classAt(classes, bytes, next) === letter) return runEnd(classes, letter, bytes, next, end);
        return this.#othersEnd(bytes, next, end);
      }
    }
  }

  /**
   * True after the last letter of a run: an alternative that takes letters (1, 2) ends with the run, the others take
   * none, and the only lookahead (6) starts at whitespace.
   */
  alwaysSplits(before: number, after: number): boolean {
    return this.#classes[before] === letter && this.#classes[after] !== letter && !isSurrogate(after);
  }

  #othersEnd(bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    return runEnd(classes, newline, bytes, runEnd(classes, other, bytes, from, end), end);
  }
}
