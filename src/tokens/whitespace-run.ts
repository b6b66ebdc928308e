// Splits a run of whitespace as all the split patterns do, for the scanners.

import { type CharacterClasses, newline, space } from './character-classes.ts';
import { characterBytes, classAt } from './word-scanner.ts';

/**
 * End of the word that starts at `from`, by `\s+(?!\S)|\s+`: the whole run at the end of the text; otherwise all of it
 * but the last character; a run of one character is a word.
 * @param toNewline the pattern begins with `\s*[\r\n]+`: the word ends after the last newline of the run, if it has one
 */
export function whitespaceEnd(
  classes: CharacterClasses,
  bytes: Uint8Array,
  from: number,
  end: number,
  toNewline: boolean,
): number {
  let at = from;
  let last = from;
  let newlinesEnd = -1;
  while (at < end) {
    const kind = classAt(classes, bytes, at);
    if (kind !== space && kind !== newline) break;
    last = at;
    at += characterBytes(bytes[at]!);
    if (kind === newline) newlinesEnd = at;
  }
  if (toNewline && newlinesEnd !== -1) return newlinesEnd;
  return at === end || last === from ? at : last;
}
