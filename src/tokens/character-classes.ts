// The class of every code point, from a generated table: the same on every Node, whatever Unicode it knows.
import { classRuns } from './character-classes.generated.ts';

export const other = 0;
export const letter = 1;
export const number = 2;
/** Whitespace (ECMAScript's `\s`) except CR and LF. */
export const space = 3;
/** CR or LF. */
export const newline = 4;

/** Class by code point. Read only. Surrogates are `other`, as is U+FFFD, which stands for a lone one in UTF-8. */
export const characterClasses: Uint8Array = expand(classRuns);

function expand(runs: string): Uint8Array {
  const classes = new Uint8Array(0x110000);
  let at = 0;
  for (const run of runs.split(' ')) {
    const length = Number.parseInt(run.slice(1), 36);
    classes.fill(Number(run[0]), at, at + length);
    at += length;
  }
  classes[0x0a] = newline;
  classes[0x0d] = newline;
  return classes;
}
