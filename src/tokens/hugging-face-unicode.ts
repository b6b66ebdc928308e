// The Rust `tokenizers` package's character tables, which equal ids depend on.

import { expandRuns } from './expand-runs.ts';
import { categoryRuns, inertRuns, whiteRuns, wordRuns } from './hugging-face-unicode.generated.ts';

/** General categories, in the order of `categoryTable`'s indices. */
export const categories: readonly string[] =
  'Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co'.split(' ');

/** Index into `categories` by code point; lone surrogates count as U+FFFD. Read only. */
export function categoryTable(): Uint8Array {
  category ??= expandRuns(categoryRuns);
  return category;
}

/** Whether `\s` matches it. */
export function isWhite(codePoint: number): boolean {
  white ??= expandRuns(whiteRuns);
  return white[codePoint] === 1;
}

/** Whether it joins an adjacent added token to a word. */
export function isWordCharacter(codePoint: number): boolean {
  word ??= expandRuns(wordRuns);
  return word[codePoint] === 1;
}

/**
 * Text in Unicode's normalization form C, as that package computes it. Its tables are older than Node's: characters
 * newer than its tables stay unchanged and separate the text around them. All versions normalize the older ones alike
 * (Unicode's stability policy).
 */
export function normalizeNfc(text: string): string {
  if (!decomposable.test(text)) return text;
  inert ??= expandRuns(inertRuns);
  let normalized = '';
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const codePoint = text.codePointAt(at)!;
    const next = at + (codePoint > 0xffff ? 2 : 1);
    if (inert[codePoint] === 1) {
      normalized += text.slice(from, at).normalize('NFC') + text.slice(at, next);
      from = next;
    }
    at = next;
  }
  return normalized + text.slice(from).normalize('NFC');
}

/** The first character that NFC can change is U+0300. */
const decomposable = /[^\0-\u02ff]/;

let category: Uint8Array | undefined;
let white: Uint8Array | undefined;
let word: Uint8Array | undefined;
let inert: Uint8Array | undefined;
