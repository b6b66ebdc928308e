// Finds the words that cl100k's split pattern makes of a text, by hand over UTF-8 bytes instead of by a regex.
//
// The pattern, alternatives tried in this order at every position:
//   1. 's 't 're 've 'm 'll 'd, in any case
//   2. [^\r\n\p{L}\p{N}]?\p{L}+
//   3. \p{N}{1,3}
//   4. ' '?[^\s\p{L}\p{N}]+[\r\n]*
//   5. \s*[\r\n]+
//   6. \s+(?!\S)
//   7. \s+
import { characterClasses, letter, newline, number, other, space } from './character-classes.ts';

const apostrophe = 0x27;
const blank = 0x20;

/**
 * End (exclusive) of the word that starts at `at`; `at < end`, both on character boundaries of well-formed UTF-8.
 * What lies before `at` plays no part: the pattern looks ahead only.
 */
export function wordEnd(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!;
  const next = at + characterBytes(lead);
  switch (classAt(bytes, at)) {
    case letter:
      return lettersEnd(bytes, next, end);
    case number:
      return numbersEnd(bytes, next, end);
    case newline:
      return whitespaceEnd(bytes, at, end);
    case space: {
      const following = next < end ? classAt(bytes, next) : newline;
      if (following === letter) return lettersEnd(bytes, next, end);
      if (following === other && lead === blank) return othersEnd(bytes, next, end);
      return whitespaceEnd(bytes, at, end);
    }
    default: {
      if (lead === apostrophe) {
        const contraction = contractionEnd(bytes, next, end);
        if (contraction !== -1) return contraction;
      }
      if (next < end && classAt(bytes, next) === letter) return lettersEnd(bytes, next, end);
      return othersEnd(bytes, next, end);
    }
  }
}

/**
 * Whether every split of a text that contains `before` followed by `after` (UTF-16 code units) has a word boundary
 * between them, and the words on either side are those of the two parts taken alone. True after a letter that no
 * letter follows: an alternative that takes a letter ends with its last one (1, 2), the rest take none, and the only
 * look ahead (6) is from whitespace.
 */
export function alwaysSplits(before: number, after: number): boolean {
  return characterClasses[before] === letter && characterClasses[after] !== letter && (after & 0xf800) !== 0xd800;
}

/** Length of the UTF-8 character with this first byte. */
function characterBytes(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function classAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  return lead < 0x80 ? characterClasses[lead]! : wideClassAt(bytes, at, lead);
}

function wideClassAt(bytes: Uint8Array, at: number, lead: number): number {
  const second = bytes[at + 1]! & 0x3f;
  if (lead < 0xe0) return characterClasses[((lead & 0x1f) << 6) | second]!;
  const third = bytes[at + 2]! & 0x3f;
  if (lead < 0xf0) return characterClasses[((lead & 0x0f) << 12) | (second << 6) | third]!;
  return characterClasses[((lead & 0x07) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 0x3f)]!;
}

function lettersEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && classAt(bytes, at) === letter) at += characterBytes(bytes[at]!);
  return at;
}

/** `from` lies behind the first number. */
function numbersEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  for (let taken = 1; taken < 3 && at < end && classAt(bytes, at) === number; taken++) at += characterBytes(bytes[at]!);
  return at;
}

function othersEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && classAt(bytes, at) === other) at += characterBytes(bytes[at]!);
  while (at < end && classAt(bytes, at) === newline) at++;
  return at;
}

/** Alternatives 5 to 7: up to the last newline of the run, else all but its last character, else that one. */
function whitespaceEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  let last = from;
  let newlinesEnd = -1;
  while (at < end) {
    const kind = classAt(bytes, at);
    if (kind !== space && kind !== newline) break;
    last = at;
    at += characterBytes(bytes[at]!);
    if (kind === newline) newlinesEnd = at;
  }
  if (newlinesEnd !== -1) return newlinesEnd;
  return at === end || last === from ? at : last;
}

/** `from` lies behind the apostrophe; -1 if no contraction follows. */
function contractionEnd(bytes: Uint8Array, from: number, end: number): number {
  if (from >= end) return -1;
  // Setting this bit makes ASCII capitals small; no byte outside A-Z and a-z becomes one of the letters below.
  const first = bytes[from]! | 0x20;
  if (first === s || first === t || first === m || first === d) return from + 1;
  if (from + 1 >= end) return -1;
  const second = bytes[from + 1]! | 0x20;
  if ((first === r && second === e) || (first === v && second === e) || (first === l && second === l)) return from + 2;
  return -1;
}

const d = 0x64;
const e = 0x65;
const l = 0x6c;
const m = 0x6d;
const r = 0x72;
const s = 0x73;
const t = 0x74;
const v = 0x76;
