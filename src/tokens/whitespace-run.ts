// Splits a run of whitespace as all the split patterns do, for the scanners.

import { type CharacterClasses, newline, space } from './character-classes.ts';
import { characterBytes, classAt } from './word-scanner.ts';

/**
 * End of the word that starts at `from`, on whitespace that no word behind it takes up: `\s+(?!\S)|\s+`, that is to
 * the end of the text, else all of the run but its last character, else that one.
 * @param toNewline the pattern has `\s*[\r\n]+` in front: up to the last newline of the run, where there is one
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
