// Finds the words of GPT-2's split pattern by hand, over UTF-8 bytes.
//
// The pattern, alternatives tried in this order at every position:
//   1. 's 't 're 've 'm 'll 'd
//   2. ' '?\p{L}+
//   3. ' '?\p{N}+
//   4. ' '?[^\s\p{L}\p{N}]+
//   5. \s+(?!\S)
//   6. \s+

import { type CharacterClasses, letter, newline, space } from './character-classes.ts';
import { apostrophe, contractionEnd } from './contraction.ts';
import { whitespaceEnd } from './whitespace-run.ts';
import { classAt, isSurrogate, type PatternScanner, runEnd, type ScannerRules } from './word-scanner.ts';

const blank = 0x20;

export class Gpt2Scanner implements PatternScanner {
  readonly rules: ScannerRules;
  readonly #classes: CharacterClasses;

  /** @param classes without cases */
  constructor(classes: CharacterClasses) {
    this.rules = { kind: 'gpt2', classes, numbersMax: 0, contractions: 'exact' };
    this.#classes = classes;
  }

  wordEnd(bytes: Uint8Array, at: number, end: number): number {
    const classes = this.#classes;
    const lead = bytes[at]!;
    if (lead === apostrophe) {
      const contraction = contractionEnd(bytes, at + 1, end, 'exact');
      if (contraction !== -1) return contraction;
    }
    const from = lead === blank && at + 1 < end ? at + 1 : at;
    const kind = classAt(classes, bytes, from);
    if (kind === space || kind === newline) return whitespaceEnd(classes, bytes, at, end, false);
    return runEnd(classes, kind, bytes, from, end);
  }

  /** As in cl100k: an alternative that takes letters ends with the last one. */
  alwaysSplits(before: number, after: number): boolean {
    return this.#classes[before] === letter && this.#classes[after] !== letter && !isSurrogate(after);
  }
}
