// Finds the words of DeepSeek's series of split patterns (V3, R1 and later) by hand, over UTF-8 bytes.
//
// Each pattern is applied to the pieces of the one before, and sees a piece as a text of its own:
//   \p{N}{1,3}
//   [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+
//   1. an ASCII character of punctuation or symbol, then [A-Za-z]+
//   2. [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
//   3. ' '?[\p{P}\p{S}]+[\r\n]*
//   4. \s*[\r\n]+
//   5. \s+(?!\S)
//   6. \s+
// What no alternative matches (control characters, unassigned and private ones) is a word up to the next match.

import { type CharacterClasses, eastern, letter, newline, number, space, symbol } from './character-classes.ts';
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
const numbersMax = 3;

export class DeepSeekScanner implements PatternScanner {
  readonly rules: ScannerRules;
  readonly #classes: CharacterClasses;

  /** @param classes with symbols and eastern characters */
  constructor(classes: CharacterClasses) {
    this.rules = { kind: 'deepseek', classes, numbersMax, contractions: null };
    this.#classes = classes;
  }

  wordEnd(bytes: Uint8Array, at: number, end: number): number {
    const classes = this.#classes;
    const lead = bytes[at]!;
    const next = at + characterBytes(lead);
    const first = classAt(classes, bytes, at);
    switch (first) {
      case letter:
      case letter | eastern:
        return runEnd(classes, first, bytes, next, end);
      case number:
        return runEnd(classes, number, bytes, next, end, numbersMax - 1);
      case newline:
        return this.#whitespaceEnd(bytes, at, end);
      case space: {
        const following = next < end ? classAt(classes, bytes, next) : newline;
        if (following === letter) return runEnd(classes, letter, bytes, next, end);
        if (following === symbol && lead === blank) return this.#symbolsEnd(symbol, bytes, next, end);
        return this.#whitespaceEnd(bytes, at, end);
      }
      case symbol:
      case symbol | eastern:
        // All ASCII characters of this class are in alternative 1.
        if (lead < 0x80 && next < end && isAsciiLetter(bytes[next]!)) return asciiLettersEnd(bytes, next, end);
        return this.#symbolsEnd(first, bytes, next, end);
      default:
        return this.#othersEnd(first, bytes, at, end);
    }
  }

  /**
   * True at the border of a piece of the first two patterns, and after the last letter of a run: an alternative that
   * takes letters ends there at the latest, and the only lookahead (5) starts at whitespace.
   */
  alwaysSplits(before: number, after: number): boolean {
    if (isSurrogate(before) || isSurrogate(after)) return false;
    const [one, two] = [this.#classes[before]!, this.#classes[after]!];
    if (one === two) return false;
    if (((one ^ two) & eastern) !== 0) return true;
    return (one & ~eastern) === letter || one === number || two === number;
  }

  /** Newlines belong to no eastern piece. */
  #symbolsEnd(kind: number, bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    const symbols = runEnd(classes, kind, bytes, from, end);
    return kind === symbol ? runEnd(classes, newline, bytes, symbols, end) : symbols;
  }

  /** The end of a piece is the end of the text for the lookahead. */
  #whitespaceEnd(bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    let at = from;
    while (at < end) {
      const kind = classAt(classes, bytes, at);
      if (kind === number || kind >= eastern) return whitespaceEnd(classes, bytes, from, at, true);
      if (kind !== space && kind !== newline) break;
      at += characterBytes(bytes[at]!);
    }
    return whitespaceEnd(classes, bytes, from, end, true);
  }

  /** The last one of a run is the optional first character of a word, if letters follow. */
  #othersEnd(kind: number, bytes: Uint8Array, from: number, end: number): number {
    const classes = this.#classes;
    const letters = letter | (kind & eastern);
    let last = from;
    let at = from + characterBytes(bytes[from]!);
    while (at < end && classAt(classes, bytes, at) === kind) {
      last = at;
      at += characterBytes(bytes[at]!);
    }
    if (at === end || classAt(classes, bytes, at) !== letters) return at;
    return last === from ? runEnd(classes, letters, bytes, at, end) : last;
  }
}

function isAsciiLetter(byte: number): boolean {
  const lowered = byte | 0x20;
  return lowered >= 0x61 && lowered <= 0x7a;
}

function asciiLettersEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && isAsciiLetter(bytes[at]!)) at++;
  return at;
}
