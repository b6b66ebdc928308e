// Finds the words of the known split patterns. As src/tokens/*-scanner.ts, which state the patterns and are the twin in
// tests.

import {
  asciiClass,
  characterBytes,
  classAt,
  eastern,
  letter,
  lower,
  mark,
  newline,
  number,
  other,
  space,
  symbol,
  upper,
  wideClassAt,
} from './characters';

const blank: u32 = 0x20;
const apostrophe: u32 = 0x27;
const slash: u32 = 0x2f;

/** Kinds of scanners. */
const cl100k: u32 = 0;
const gpt2: u32 = 1;
const o200k: u32 = 2;
const deepSeek: u32 = 3;

/** Cases of contractions. */
const noContractions: u32 = 0;
const exact: u32 = 1;
const folded: u32 = 3;

let kind: u32 = 0;
let numbersMax: u32 = 0;
let contractions: u32 = 0;

/** @param ofContractions 0: none, 1: exact, 2: any ASCII case, 3: also U+017F */
export function chooseScanner(ofKind: u32, ofNumbers: u32, ofContractions: u32): void {
  kind = ofKind;
  numbersMax = ofNumbers;
  contractions = ofContractions;
}

/** End of the word that starts at `at`; `at < end`. */
@inline export function wordEnd(at: usize, end: usize): usize {
  if (kind == cl100k) return cl100kEnd(at, end);
  if (kind == gpt2) return gpt2End(at, end);
  if (kind == o200k) return o200kEnd(at, end);
  return deepSeekEnd(at, end);
}

/**
 * Whether every split of a text has a word boundary at `at`, and both sides split as they would alone. The same rule as
 * `alwaysSplits` of the scanners: after a letter, if nothing that can belong to its word follows, and at the borders of
 * DeepSeek's pieces.
 * @param at between two characters of the text
 */
export function splitsAt(at: usize): bool {
  const first = <u32>load<u8>(at);
  if ((first & 0xc0) == 0x80) return false;
  const after = classAt(at);
  if (kind != deepSeek) {
    if (after == letter || after == upper || after == lower || after == mark) return false;
    if (kind == o200k && first == apostrophe) return false;
  }
  let last = at - 1;
  while ((<u32>load<u8>(last) & 0xc0) == 0x80) last--;
  const before = classAt(last);
  if (kind == deepSeek) {
    if (before == after) return false;
    if (((before ^ after) & eastern) != 0) return true;
    return (before & ~eastern) == letter || before == number || after == number;
  }
  return before == letter || before == upper || before == lower;
}

function cl100kEnd(at: usize, end: usize): usize {
  const lead = <u32>load<u8>(at);
  const next = at + characterBytes(lead);
  const first = lead < 0x80 ? asciiClass(lead) : wideClassAt(at, lead);
  if (first == letter) return lettersEnd(next, end);
  if (first == space) {
    const following = next < end ? classAt(next) : newline;
    if (following == letter) return lettersEnd(next, end);
    if (following == other && lead == blank) return othersEnd(next, end);
    return whitespaceEnd(at, end, true, false);
  }
  if (first == number) return runEnd(number, next, end, numbersMax - 1);
  if (first == newline) return whitespaceEnd(at, end, true, false);
  if (lead == apostrophe) {
    const contraction = contractionEnd(next, end, contractions);
    if (contraction != 0) return contraction;
  }
  if (next < end && classAt(next) == letter) return lettersEnd(next, end);
  return othersEnd(next, end);
}

function gpt2End(at: usize, end: usize): usize {
  const lead = <u32>load<u8>(at);
  if (lead == apostrophe) {
    const contraction = contractionEnd(at + 1, end, exact);
    if (contraction != 0) return contraction;
  }
  const from = lead == blank && at + 1 < end ? at + 1 : at;
  const first = classAt(from);
  if (first == letter) return lettersEnd(from, end);
  if (first == space || first == newline) return whitespaceEnd(at, end, false, false);
  return runEnd(first, from, end, u32.MAX_VALUE);
}

function o200kEnd(at: usize, end: usize): usize {
  const lead = <u32>load<u8>(at);
  const next = at + characterBytes(lead);
  const first = lead < 0x80 ? asciiClass(lead) : wideClassAt(at, lead);
  if (first == number) return runEnd(number, next, end, numbersMax - 1);
  if (first != newline) {
    const word = casedWordEnd(at, first == space || first == other || first == mark ? next : 0, end);
    if (word != 0) return withContraction(word, end);
  }
  if (first == other) return othersOrMarksEnd(next, end);
  const followed = next < end && lead == blank ? classAt(next) : space;
  if (followed == other || followed == mark) return othersOrMarksEnd(next, end);
  return whitespaceEnd(at, end, true, false);
}

function deepSeekEnd(at: usize, end: usize): usize {
  const lead = <u32>load<u8>(at);
  const next = at + characterBytes(lead);
  const first = lead < 0x80 ? asciiClass(lead) : wideClassAt(at, lead);
  if (first == letter) return lettersEnd(next, end);
  if (first == space) {
    const following = next < end ? classAt(next) : newline;
    if (following == letter) return lettersEnd(next, end);
    if (following == symbol && lead == blank) return symbolsEnd(symbol, next, end);
    return whitespaceEnd(at, end, true, true);
  }
  if (first == symbol) {
    if (lead < 0x80 && next < end && isAsciiLetter(load<u8>(next))) return asciiLettersEnd(next, end);
    return symbolsEnd(symbol, next, end);
  }
  if (first == number) return runEnd(number, next, end, numbersMax - 1);
  if (first == newline) return whitespaceEnd(at, end, true, true);
  if (first == (letter | eastern)) return runEnd(first, next, end, u32.MAX_VALUE);
  if (first == (symbol | eastern)) return symbolsEnd(first, next, end);
  return controlsEnd(first, at, end);
}

function symbolsEnd(wanted: u32, from: usize, end: usize): usize {
  let at = runEnd(wanted, from, end, u32.MAX_VALUE);
  if (wanted == symbol) while (at < end && classAt(at) == newline) at++;
  return at;
}

/** A run of `wanted`, of which the last one belongs to the letters that follow. */
function controlsEnd(wanted: u32, from: usize, end: usize): usize {
  const letters = letter | (wanted & eastern);
  let last = from;
  let at = from + characterBytes(load<u8>(from));
  while (at < end && classAt(at) == wanted) {
    last = at;
    at += characterBytes(load<u8>(at));
  }
  if (at == end || classAt(at) != letters) return at;
  return last == from ? runEnd(letters, at, end, u32.MAX_VALUE) : last;
}

@inline function isAsciiLetter(byte: u32): bool {
  return (byte | 0x20) - 0x61 < 26;
}

function asciiLettersEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end) {
    const found = asciiLetters(at);
    at += found;
    if (found < 16) break;
  }
  return min(at, end);
}

/** @param behindPrefix position after the optional first character; 0 if it can't be one @returns 0 for no word */
function casedWordEnd(at: usize, behindPrefix: usize, end: usize): usize {
  if (behindPrefix != 0) {
    const prefixed = lowerEndingEnd(behindPrefix, end);
    if (prefixed != 0) return prefixed;
  }
  const plain = lowerEndingEnd(at, end);
  if (plain != 0) return plain;
  if (behindPrefix != 0) {
    const prefixed = upperRunEnd(behindPrefix, end);
    if (prefixed > behindPrefix) return prefixed;
  }
  const run = upperRunEnd(at, end);
  return run > at ? run : 0;
}

/** 0 if there is none. */
function lowerEndingEnd(from: usize, end: usize): usize {
  let givenBack: usize = 0;
  let at = from;
  let found = other;
  while (at < end) {
    found = classAt(at);
    if (found != upper && found != letter && found != mark) break;
    at += characterBytes(load<u8>(at));
    if (found != upper) givenBack = at;
  }
  if (at == end || found != lower) return givenBack;
  while (at < end) {
    found = classAt(at);
    if (found != lower && found != letter && found != mark) break;
    at += characterBytes(load<u8>(at));
  }
  return at;
}

function upperRunEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end) {
    const found = classAt(at);
    if (found != upper && found != letter && found != mark) break;
    at += characterBytes(load<u8>(at));
  }
  return at;
}

function withContraction(word: usize, end: usize): usize {
  if (contractions == noContractions || word >= end || load<u8>(word) != apostrophe) return word;
  const contraction = contractionEnd(word + 1, end, contractions);
  return contraction == 0 ? word : contraction;
}

function othersOrMarksEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end) {
    const found = classAt(at);
    if (found != other && found != mark) break;
    at += characterBytes(load<u8>(at));
  }
  while (at < end && (classAt(at) == newline || load<u8>(at) == slash)) at++;
  return at;
}

@inline function lettersEnd(from: usize, end: usize): usize {
  const at = min(end, from + asciiLetters(from));
  if (at < from + 16 && load<u8>(at) < 0x80) return at;
  return lettersEndSlowly(at, end);
}

/** How many of the 16 bytes from `at` on are ASCII letters, before the first other one. */
@inline function asciiLetters(at: usize): usize {
  const lowered = v128.or(v128.load(at), i8x16.splat(0x20));
  const isLetter = i8x16.lt_u(i8x16.sub(lowered, i8x16.splat(0x61)), i8x16.splat(26));
  return <usize>ctz<i32>(~i8x16.bitmask(isLetter));
}

function lettersEndSlowly(from: usize, end: usize): usize {
  let at = from;
  while (at < end) {
    const lead = <u32>load<u8>(at);
    if (lead < 0x80) {
      if (asciiClass(lead) != letter) break;
      at++;
    } else {
      if (wideClassAt(at, lead) != letter) break;
      at += characterBytes(lead);
    }
  }
  return at;
}

function othersEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end && classAt(at) == other) at += characterBytes(load<u8>(at));
  while (at < end && classAt(at) == newline) at++;
  return at;
}

function runEnd(wanted: u32, from: usize, end: usize, countMax: u32): usize {
  let at = from;
  for (let taken: u32 = 0; taken < countMax && at < end && classAt(at) == wanted; taken++) {
    at += characterBytes(load<u8>(at));
  }
  return at;
}

/** @param inPieces the lookahead takes numbers and eastern characters for the end of the text */
function whitespaceEnd(from: usize, end: usize, toNewline: bool, inPieces: bool): usize {
  let at = from;
  let last = from;
  let newlinesEnd: usize = 0;
  while (at < end) {
    const found = classAt(at);
    if (found != space && found != newline) {
      if (inPieces && (found == number || found >= eastern)) end = at;
      break;
    }
    last = at;
    at += characterBytes(load<u8>(at));
    if (found == newline) newlinesEnd = at;
  }
  if (toNewline && newlinesEnd != 0) return newlinesEnd;
  return at == end || last == from ? at : last;
}

/** End of the contraction after the apostrophe at `from - 1`; 0 if there is none. */
function contractionEnd(from: usize, end: usize, letterCase: u32): usize {
  if (from >= end) return 0;
  const fold: u32 = letterCase == exact ? 0 : 0x20;
  const first = <u32>load<u8>(from) | fold;
  // s, t, m, d
  if (first == 0x73 || first == 0x74 || first == 0x6d || first == 0x64) return from + 1;
  if (from + 1 >= end) return 0;
  const second = <u32>load<u8>(from, 1) | fold;
  // re, ve, ll
  if ((first == 0x72 || first == 0x76) && second == 0x65) return from + 2;
  if (first == 0x6c && second == 0x6c) return from + 2;
  // U+017F
  if (letterCase == folded && load<u8>(from) == 0xc5 && load<u8>(from, 1) == 0xbf) return from + 2;
  return 0;
}
