// The built-in tokenizer against js-tiktoken: languages, code, and fuzzed Unicode.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { BuiltinTokenizer, loadBuiltinTokenizer, loadVocabulary } from '../../src/tokens/builtin-tokenizer.ts';
import { characterClasses } from '../../src/tokens/character-classes.ts';
import { languages } from './languages.ts';
import { disputedCodePoints, oracleIds } from './oracle.ts';

const tokenizer = await loadBuiltinTokenizer();

/** Most strings are short, since the oracle's time grows with the square of a word's length. */
const fuzzedStrings = 100_000;

/** Source text of the project itself and of a dependency, of several kinds. */
function codeFiles(): string[] {
  const root = join(import.meta.dirname, '..', '..');
  const folders = [
    'src',
    'scripts',
    join('node_modules', 'zod', 'v4', 'core'),
    join('node_modules', 'undici', 'lib', 'core'),
  ];
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(root, folder, name)),
  );
  files.push(join(root, 'package.json'), join(root, 'biome.json'), join(root, 'LICENSE'));
  // Generated files are long runs without a break, which the oracle takes minutes for.
  return files.filter((file) => /\.([cm]?[jt]s|json)$|LICENSE$/.test(file) && !file.includes('.generated.'));
}

/** Code points in bands that mix scripts, sizes and classes; some strings keep to one band, some take from all. */
const bands: readonly (readonly [number, number])[] = [
  [0x20, 0x7e],
  [0x00, 0x2ff],
  [0x41, 0x7a],
  [0x300, 0x52f],
  [0x590, 0xdff],
  [0xe00, 0x1fff],
  [0x2000, 0x2bff],
  [0x3000, 0x30ff],
  [0x4e00, 0x9fff],
  [0xac00, 0xd7ff],
  [0xd800, 0xdfff],
  [0xf900, 0xffff],
  [0x10000, 0x1ffff],
  [0x20000, 0x10ffff],
];
const frequent = [
  ' ',
  '  ',
  '\n',
  '\r\n',
  '\t',
  "'s",
  "'LL",
  "'re",
  '0',
  '42',
  '.',
  '…',
  '\u00a0',
  '\u3000',
  '\ufeff',
  '\ud83d',
];

function fuzzed(random: Random, disputed: ReadonlySet<number>): string {
  const own = random.below(bands.length);
  const mixed = random.below(3) === 0;
  let text = '';
  for (let left = 1 + random.below(14); left > 0; left--) {
    if (random.below(4) === 0) {
      text += frequent[random.below(frequent.length)]!;
      continue;
    }
    const [first, last] = bands[mixed ? random.below(bands.length) : own]!;
    let codePoint = first + random.below(last - first + 1);
    while (disputed.has(codePoint)) codePoint = first + random.below(last - first + 1);
    text += String.fromCodePoint(codePoint);
  }
  return text;
}

function differs(ours: Uint32Array, theirs: readonly number[]): boolean {
  return ours.length !== theirs.length || theirs.some((id, index) => ours[index] !== id);
}

describe('builtin tokenizer', () => {
  it.each(Object.entries(languages))('equals the oracle on %s', (_language, text) => {
    expect(Array.from(tokenizer.encode(text))).toEqual(oracleIds(text));
    const upper = `${text.toUpperCase()}\n\n${text}`;
    expect(Array.from(tokenizer.encode(upper))).toEqual(oracleIds(upper));
  });

  it('equals the oracle on code', () => {
    const files = codeFiles();
    expect(files.length).toBeGreaterThan(40);
    const wrong = files.filter((file) => {
      const text = readFileSync(file, 'utf8');
      return differs(tokenizer.encode(text), oracleIds(text));
    });
    expect(wrong).toEqual([]);
  });

  it(`equals the oracle on ${fuzzedStrings} fuzzed Unicode strings`, () => {
    const random = new Random(20);
    const disputed = disputedCodePoints();
    const wrong: string[] = [];
    for (let left = fuzzedStrings; left > 0; left--) {
      const text = fuzzed(random, disputed);
      if (differs(tokenizer.encode(text), oracleIds(text))) wrong.push(text);
    }
    expect(wrong.map((text) => JSON.stringify(text))).toEqual([]);
  });

  it('equals the oracle on long texts, where segments are cut and found again', () => {
    const random = new Random(21);
    const parts = Object.values(languages);
    for (let round = 0; round < 12; round++) {
      const text = Array.from({ length: 120 }, () => parts[random.below(parts.length)]!).join(
        [' ', '\n', '<|im_end|>'][round % 3],
      );
      const ids = oracleIds(text);
      expect(differs(tokenizer.encode(text), ids)).toBe(false);
      expect(differs(tokenizer.encode(text), ids)).toBe(false);
    }
  });

  it('recognises added tokens as the oracle does, wherever they stand', () => {
    const random = new Random(22);
    const pieces = [
      '<|im_start|>',
      '<|im_end|>',
      '<|endoftext|>',
      '<|endofprompt|>',
      '<|',
      '|>',
      '<|im_',
      ' ',
      '\n',
      'a',
      '  ',
    ];
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: 1 + random.below(9) }, () => pieces[random.below(pieces.length)]!).join('');
      expect(Array.from(tokenizer.encode(text)), JSON.stringify(text)).toEqual(oracleIds(text));
    }
  });
});

describe('segment cache', () => {
  it('changes no id, whatever it keeps', async () => {
    const vocabulary = await loadVocabulary();
    const none = new BuiltinTokenizer(vocabulary, { segmentCacheBytesMax: 0 });
    const little = new BuiltinTokenizer(vocabulary, { segmentCacheBytesMax: 60_000 });
    const random = new Random(23);
    const parts = Object.values(languages);
    const prompts = Array.from({ length: 8 }, () =>
      Array.from({ length: 80 }, () => parts[random.below(parts.length)]!).join(' '),
    );
    for (let round = 0; round < 60; round++) {
      const prompt = prompts[random.below(prompts.length)]!;
      const text = prompt.slice(0, 1 + random.below(prompt.length)) + String(round);
      const expected = none.encode(text);
      expect(little.encode(text)).toEqual(expected);
      expect(tokenizer.encode(text)).toEqual(expected);
    }
  });
});

it('covers every class with its bands', () => {
  const seen = new Set(bands.flatMap(([first, last]) => Array.from(characterClasses.subarray(first, last + 1))));
  expect([...seen].toSorted()).toEqual([0, 1, 2, 3, 4]);
});
