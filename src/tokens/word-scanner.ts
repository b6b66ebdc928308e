// The interface of hand-written split pattern scanners, and the UTF-8 decoding that they share.

import type { CharacterClasses } from './character-classes.ts';
import type { ContractionCase } from './contraction.ts';

/** Parameters of a scanner, for the kernel's version of it. */
export interface ScannerRules {
  readonly kind: 'cl100k' | 'gpt2' | 'o200k' | 'deepseek';
  readonly classes: CharacterClasses;
  /** Most numbers in one word; gpt2 has no limit. */
  readonly numbersMax: number;
  /** Null: words never include one. */
  readonly contractions: ContractionCase | null;
}

/** Finds the words of a text by a split pattern. */
export interface WordScanner {
  /**
   * End (exclusive) of the word that starts at `at`; `at < end`, both on character boundaries of well-formed UTF-8.
   * Does not depend on what is before `at`: the patterns only look ahead.
   */
  wordEnd(bytes: Uint8Array, at: number, end: number): number;
  /**
   * Whether every split of a text with `before` followed by `after` (UTF-16 code units) has a word boundary between
   * them, and both sides split as they would alone. May return false where this holds.
   */
  alwaysSplits(before: number, after: number): boolean;
}

/** A scanner with a version in the kernel. */
export interface PatternScanner extends WordScanner {
  readonly rules: ScannerRules;
}

/** Length of the UTF-8 character with this first byte. */
export function characterBytes(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

/** Class of the character that starts at `at`. */
export function classAt(classes: CharacterClasses, bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  return lead < 0x80 ? classes[lead]! : wideClassAt(classes, bytes, at, lead);
}

function wideClassAt(classes: CharacterClasses, bytes: Uint8Array, at: number, lead: number): number {
  const second = bytes[at + 1]! & 0x3f;
  if (lead < 0xe0) return classes[((lead & 0x1f) << 6) | second]!;
  const third = bytes[at + 2]! & 0x3f;
  if (lead < 0xf0) return classes[((lead & 0x0f) << 12) | (second << 6) | third]!;
  return classes[((lead & 0x07) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 0x3f)]!;
}

/** End of the run of one class that starts at `from`, of at most `countMax` characters. */
export function runEnd(
  classes: CharacterClasses,
  wanted: number,
  bytes: Uint8Array,
  from: number,
  end: number,
  countMax: number = Number.POSITIVE_INFINITY,
): number {
  let at = from;
  for (let taken = 0; taken < countMax && at < end && classAt(classes, bytes, at) === wanted; taken++) {
    at += characterBytes(bytes[at]!);
  }
  return at;
}

export function isSurrogate(codeUnit: number): boolean {
  return (codeUnit & 0xf800) === 0xd800;
}
