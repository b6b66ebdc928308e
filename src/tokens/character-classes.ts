// The character classes of split patterns, from generated tables, so that they are the same on every Node.

import { classRuns } from './character-classes.generated.ts';
import { expandRuns } from './expand-runs.ts';
import { categories, categoryTable, isWhite } from './hugging-face-unicode.ts';

export const other = 0;
/** In tables with cases: a letter of neither case. */
export const letter = 1;
export const number = 2;
/** Whitespace except CR and LF. */
export const space = 3;
/** CR or LF. */
export const newline = 4;
/** These three occur only in tables with cases. */
export const upper = 5;
export const lower = 6;
export const mark = 7;
/** Punctuation and symbols. Only in DeepSeek's table, as is the next; there `letter` includes marks. */
export const symbol = 8;
/** Added to the class of a character that DeepSeek's second regex isolates: common Han characters and kana. */
export const eastern = 16;

/** Class by code point; read only. Lone surrogates are `other`, as is U+FFFD, which stands for them in UTF-8. */
export type CharacterClasses = Uint8Array;

/** As in OpenAI's tiktoken: Unicode 17, whitespace as in ECMAScript. */
export function tiktokenClasses(): CharacterClasses {
  tiktoken ??= withNewlines(expandRuns(classRuns));
  return tiktoken;
}

/** As in the Rust `tokenizers` package. */
export function huggingFaceClasses(): CharacterClasses {
  huggingFace ??= fromCategories({ L: letter, N: number });
  return huggingFace;
}

/** The same, with letter cases and marks. */
export function huggingFaceCasedClasses(): CharacterClasses {
  huggingFaceCased ??= fromCategories({ L: letter, N: number, Lu: upper, Lt: upper, Ll: lower, M: mark });
  return huggingFaceCased;
}

/** As in the Rust `tokenizers` package; marks are letters. */
export function huggingFaceMarkedClasses(): CharacterClasses {
  huggingFaceMarked ??= fromCategories({ L: letter, M: letter, N: number });
  return huggingFaceMarked;
}

/** The same with `symbol` and `eastern`. */
export function deepSeekClasses(): CharacterClasses {
  if (deepSeek !== undefined) return deepSeek;
  deepSeek = fromCategories({ L: letter, M: letter, N: number, P: symbol, S: symbol });
  for (const [first, last] of easternRanges) {
    for (let codePoint = first; codePoint <= last; codePoint++) deepSeek[codePoint]! |= eastern;
  }
  return deepSeek;
}

const easternRanges = [
  [0x3040, 0x30ff],
  [0x4e00, 0x9fa5],
] as const;

// Built on demand: each table is a megabyte that most processes never need.
let tiktoken: CharacterClasses | undefined;
let huggingFace: CharacterClasses | undefined;
let huggingFaceCased: CharacterClasses | undefined;
let huggingFaceMarked: CharacterClasses | undefined;
let deepSeek: CharacterClasses | undefined;

/** @param classOf by category (`Lu`) or group of categories (`L`) */
function fromCategories(classOf: Readonly<Record<string, number>>): CharacterClasses {
  const byCategory = categories.map((category) => classOf[category] ?? classOf[category[0]!] ?? other);
  const classes = categoryTable().map((category) => byCategory[category]!);
  for (let codePoint = 0; codePoint < classes.length; codePoint++) if (isWhite(codePoint)) classes[codePoint] = space;
  return withNewlines(classes);
}

function withNewlines(classes: Uint8Array): CharacterClasses {
  classes[0x0a] = newline;
  classes[0x0d] = newline;
  return classes;
}
