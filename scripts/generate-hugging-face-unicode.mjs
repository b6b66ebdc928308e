// Generates src/tokens/hugging-face-unicode.generated.ts: Unicode properties as the Rust `tokenizers` package sees
// them.
//
// Asks the package for every code point, because its Unicode versions (one for regexes, one for the normalizer) differ
// from each other and from Node's.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { install, root } from './set-up.mjs';

install(join(root, 'test'));
const require = createRequire(join(root, 'test', 'package.json'));
const { nfcNormalizer, nfdNormalizer, Tokenizer } = require('tokenizers');

/** In the order of src/tokens/hugging-face-unicode.ts. */
const categories = 'Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co'.split(' ');
const codePoints = 0x110000;
const chunk = 0x400;
const isSurrogate = (codePoint) => codePoint >= 0xd800 && codePoint < 0xe000;

const file = (fields) =>
  Tokenizer.fromString(
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model: { type: 'WordLevel', vocab: { a: 0, '<x>': 1 }, unk_token: 'a' },
      ...fields,
    }),
  );

function* chunks() {
  for (let start = 0; start < codePoints; start += chunk) {
    const members = Array.from({ length: chunk }, (_, index) => start + index).filter((each) => !isSurrogate(each));
    if (members.length > 0) yield members;
  }
}

/** One byte per code point: whether the pattern matches it. */
function matching(pattern) {
  const splitter = file({
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: false },
  }).getPreTokenizer();
  const found = new Uint8Array(codePoints);
  for (const members of chunks()) {
    for (const member of members) found[member] = 1;
    for (const [rest] of splitter.preTokenizeString(String.fromCodePoint(...members))) {
      for (const character of rest) found[character.codePointAt(0)] = 0;
    }
  }
  return found;
}

/** One byte per code point: whether a token with `single_word` is not found after it. */
async function wordCharacters() {
  const tokenizer = file({
    added_tokens: [
      { id: 1, content: '<x>', single_word: true, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
  });
  const found = new Uint8Array(codePoints);
  for (const members of chunks()) {
    const text = members.map((member) => `!${String.fromCodePoint(member)}<x>!`).join('');
    const encoding = await tokenizer.encode(text, null, { addSpecialTokens: false });
    const ids = encoding.getIds();
    const alone = new Set(encoding.getOffsets().flatMap(([start], index) => (ids[index] === 1 ? [start] : [])));
    for (const [index, member] of members.entries()) found[member] = alone.has(index * 6 + 2) ? 0 : 1;
  }
  return found;
}

/**
 * One byte per code point: whether it takes part in normalization only in Unicode versions newer than the package's.
 * The package leaves such a code point in place: nothing is reordered across it or composed with it.
 */
function inertCharacters() {
  const nfc = nfcNormalizer();
  const nfd = nfdNormalizer();
  const found = new Uint8Array(codePoints);
  for (const members of chunks()) {
    for (const member of members) {
      const alone = String.fromCodePoint(member);
      // Between marks of the highest and the lowest combining class, a mark of any class must move.
      const among = `a\u0345${alone}\u0334`;
      const agrees =
        nfc.normalizeString(alone) === alone.normalize('NFC') &&
        nfd.normalizeString(alone) === alone.normalize('NFD') &&
        nfd.normalizeString(among) === among.normalize('NFD');
      if (agrees && !/\p{Cn}/u.test(alone)) continue;
      if (nfc.normalizeString(among) !== `a\u0345${alone}\u0334` || nfd.normalizeString(alone) !== alone) {
        throw new Error(`U+${member.toString(16)} is known to the package, but otherwise than to this Node`);
      }
      found[member] = 1;
    }
  }
  return found;
}

const classes = new Uint8Array(codePoints);
for (const [index, category] of categories.entries()) {
  const found = matching(`\\p{${category}}`);
  for (let codePoint = 0; codePoint < codePoints; codePoint++) if (found[codePoint] === 1) classes[codePoint] = index;
}
// The package receives a lone surrogate as U+FFFD.
classes.fill(classes[0xfffd], 0xd800, 0xe000);

function runsOf(values) {
  const runs = [];
  for (let start = 0; start < codePoints; ) {
    let end = start + 1;
    while (end < codePoints && values[end] === values[start]) end++;
    runs.push(`${values[start].toString(36)}${(end - start).toString(36)}`);
    start = end;
  }
  return runs.join(' ');
}

const tables = [
  ['category', 'General category by regex, as an index into the list of categories.', classes],
  ['white', 'Whether `\\s` matches in a regex.', matching('\\s')],
  ['word', 'Whether it counts as part of a word beside an added token that must stand alone.', await wordCharacters()],
  [
    'inert',
    "Whether the normalizer leaves it alone where a newer Unicode's would not, or might not.",
    inertCharacters(),
  ],
];
const { version } = require('tokenizers/package.json');
const lines = ['// Made by scripts/generate-hugging-face-unicode.mjs, which asked the Rust tokenizers package.'];
lines.push(`export const tokenizersVersion: string = '${version}';`);
lines.push('// Runs of equal value from U+0000 on: one digit of value, then the length, both in base 36.');
for (const [name, what, values] of tables) {
  lines.push(`/** ${what} */`, `export const ${name}Runs: string =`);
  lines.push(
    `${runsOf(values)
      .match(/.{1,110}/g)
      .map((line) => `  '${line}'`)
      .join(' +\n')};`,
  );
  lines.push(`export const ${name}Sha256: string = '${createHash('sha256').update(values).digest('hex')}';`);
}
writeFileSync(join(root, 'src', 'tokens', 'hugging-face-unicode.generated.ts'), `${lines.join('\n')}\n`);
