// Finds English contractions ('s 't 're 've 'm 'll 'd) after an apostrophe, for the scanners.

/**
 * `exact`: lower case only. `ascii`: any case. `folded`: also U+017F for the s, since Unicode case folding, and with it
 * Oniguruma's regexes, treat it as an s.
 */
export type ContractionCase = 'exact' | 'ascii' | 'folded';

export const apostrophe = 0x27;

/** End of the contraction after the apostrophe at `from - 1`; -1 if there is none. */
export function contractionEnd(bytes: Uint8Array, from: number, end: number, letterCase: ContractionCase): number {
  if (from >= end) return -1;
  // This bit lowers ASCII capitals; no byte outside A-Z and a-z becomes one of the letters below.
  const fold = letterCase === 'exact' ? 0 : 0x20;
  const first = bytes[from]! | fold;
  if (first === s || first === t || first === m || first === d) return from + 1;
  if (from + 1 >= end) return -1;
  const second = bytes[from + 1]! | fold;
  if ((first === r && second === e) || (first === v && second === e) || (first === l && second === l)) return from + 2;
  if (letterCase === 'folded' && bytes[from] === longS0 && bytes[from + 1] === longS1) return from + 2;
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
/** U+017F in UTF-8. */
const longS0 = 0xc5;
const longS1 = 0xbf;
