// Generates src/tokens/character-classes.generated.ts: character classes for split patterns, run-length encoded.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './set-up.mjs';

/** 0 other, 1 letter, 2 number, 3 whitespace: the same numbers as in src/tokens/character-classes.ts. */
const patterns = [/^\p{L}$/u, /^\p{N}$/u, /^\s$/u];
const codePoints = 0x110000;

const classes = new Uint8Array(codePoints);
for (let codePoint = 0; codePoint < codePoints; codePoint++) {
  classes[codePoint] = patterns.findIndex((pattern) => pattern.test(String.fromCodePoint(codePoint))) + 1;
}

const runs = [];
for (let start = 0; start < codePoints; ) {
  let end = start + 1;
  while (end < codePoints && classes[end] === classes[start]) end++;
  runs.push(`${classes[start]}${(end - start).toString(36)}`);
  start = end;
}

const lines = runs.join(' ').match(/.{1,110}/g);
writeFileSync(
  join(root, 'src', 'tokens', 'character-classes.generated.ts'),
  [
    '// Made by scripts/generate-character-classes.mjs from the Unicode tables of the Node that ran it.',
    `export const unicodeVersion: string = '${process.versions.unicode}';`,
    '/** SHA-256 of the expanded table, one byte a code point. */',
    `export const classesSha256: string = '${createHash('sha256').update(classes).digest('hex')}';`,
    '/** Runs of equal class from U+0000 on: one digit of class, then the length in base 36. */',
    'export const classRuns: string =',
    `${lines.map((line) => `  '${line}'`).join(' +\n')};`,
    '',
  ].join('\n'),
);
