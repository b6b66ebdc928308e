// Byte-level tokenizers compared with the Rust `tokenizers` package: languages, code, fuzzed Unicode, tokens, options.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { byteCharacters } from '../../src/tokens/byte-level-alphabet.ts';
import { bands, codeFiles, fuzzed } from './corpus.ts';
import { addedToken, byteLevel } from './hugging-face-files.ts';
import { Pair, readModel, splitting, type TokenizerJson } from './hugging-face-oracle.ts';
import { languages } from './languages.ts';

const llama = readModel('llama3_1');
const qwen = readModel('qwen2_5');

const o200k =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const tekken = o200k.replaceAll("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '').replace('{1,3}', '');

const qwen35 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const deepSeek = [
  '\\p{N}{1,3}',
  '[一-龥぀-ゟ゠-ヿ]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+',
];
/** The same with escapes, for which there is no scanner. */
const severalSplits = deepSeek.map((pattern) => pattern.replaceAll('\r', '\\r').replaceAll('\n', '\\n'));

const cl100k =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** As files do that were converted from tiktoken's form (Phi 4, OLMo 3, MiniMax M2). */
function keepingMatches(Regex: string): TokenizerJson {
  const file = splitting(Regex) as { pretokenizers: object[] };
  const [split, bytes] = file.pretokenizers;
  return { ...file, pretokenizers: [{ ...split, behavior: 'Removed', invert: true }, bytes] };
}

const gpt2: TokenizerJson = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
};

/** The first merges of a file and their tokens: equally exact, and loaded quickly. */
function smaller(file: TokenizerJson): TokenizerJson {
  const model = file['model'] as { vocab: Record<string, number>; merges: string[] };
  const first = model.merges.slice(0, 20_000);
  const tokens = [...byteCharacters, ...new Set(first.map((merge) => merge.replace(' ', '')))];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const merges = first.filter((merge) => merge.split(' ').every((part) => Object.hasOwn(vocab, part)));
  return { ...file, added_tokens: [], post_processor: null, model: { ...model, vocab, merges } };
}

const made = new Map<TokenizerJson, Pair>();
/** One pair per file, since loading takes longer than most tests. */
function pairOf(file: TokenizerJson): Pair {
  const pair = made.get(file) ?? new Pair(file);
  made.set(file, pair);
  return pair;
}

const small = smaller(llama);
const smallQwen = smaller(qwen);

/** Real vocabularies with their own and other split patterns; number of fuzzed strings. */
const files: [string, TokenizerJson, number][] = [
  ['Llama 3.1', llama, 100_000],
  ['Qwen 2.5', qwen, 100_000],
  ["o200k's split", { ...small, pre_tokenizer: splitting(o200k) }, 40_000],
  ["tekken's split", { ...small, pre_tokenizer: splitting(tekken) }, 10_000],
  ["GPT-2's split", { ...smallQwen, pre_tokenizer: gpt2 }, 20_000],
  ["GPT-2's split behind a blank", { ...smallQwen, pre_tokenizer: { ...gpt2, add_prefix_space: true } }, 5_000],
  ["o200k's split, the rest removed", { ...small, pre_tokenizer: keepingMatches(o200k) }, 10_000],
  ["cl100k's split, the rest removed", { ...small, pre_tokenizer: keepingMatches(cl100k) }, 10_000],
  ["Qwen 3.5's split", { ...small, pre_tokenizer: splitting(qwen35) }, 20_000],
  ["DeepSeek V3's splits", { ...small, pre_tokenizer: splitting(...deepSeek) }, 60_000],
  ["DeepSeek V3's splits, by regexes", { ...small, pre_tokenizer: splitting(...severalSplits) }, 5_000],
  ['merges before words', { ...small, model: { ...(small['model'] as object), ignore_merges: false } }, 10_000],
];

/** Characters with special treatment by split patterns and normalizer. */
const peculiar = [
  "'ſ",
  "'S",
  '/\n/',
  '\u0085',
  '\u0301',
  '\u0345\u0334',
  '\u1100\u1161\u11a8',
  '\u1715',
  '\u0344',
  'ß',
  '・ー゛',
  '\u3099\u3040',
  '語1',
  ' 語',
  '.a\u0301',
];

describe.each(files)('%s', (_name, file, fuzzedStrings) => {
  const pair = pairOf(file);
  const isWhole = fuzzedStrings === 100_000;
  const code = codeFiles().filter((_path, index) => isWhole || index % 5 === 0);

  it("has the oracle's ids for texts in many languages, in any case, alone and joined", async () => {
    const texts = Object.values(languages);
    expect(texts.length).toBeGreaterThanOrEqual(20);
    const all = [...texts, ...texts.map((text) => text.toUpperCase()), texts.join('\n'), texts.join(' ').repeat(6)];
    expect(await pair.differences([...all, ...all.map((text) => text.normalize('NFD'))])).toEqual([]);
    expect(await pair.differences(all.slice(0, 5), true)).toEqual([]);
  });

  it("has the oracle's ids for code", async () => {
    expect(await pair.differences(code.map((path) => readFileSync(path, 'utf8')))).toEqual([]);
  });

  it("has the oracle's ids for fuzzed Unicode", async () => {
    const random = new Random(30);
    const none = new Set<number>();
    const texts = Array.from({ length: fuzzedStrings }, () => {
      const text = fuzzed(random, none);
      return random.below(4) > 0 ? text : `${text}${peculiar[random.below(peculiar.length)]}${fuzzed(random, none)}`;
    });
    expect(await pair.differences(texts)).toEqual([]);
  });
});

it('fuzzes all of Unicode', () => {
  expect(bands.some(([, last]) => last === 0x10ffff)).toBe(true);
});

describe('added tokens', () => {
  const flags = ['single_word', 'lstrip', 'rstrip', 'normalized'];
  const texts = ['<a>', '<a><b>', 'me', 'é', ' <s>', '  ', '<|x|>', '<|x', 'e\u0301', '語', '\u1100\u1161'];
  const pieces = [
    ...texts,
    '<a',
    '>',
    ' ',
    '\n',
    '\u3000',
    '\u0085',
    'm',
    'some',
    'E',
    '\u0301',
    '1',
    '.',
    '\ufeff',
    '_',
  ];

  function fileWith(random: Random): TokenizerJson {
    const base = byteLevel([
      ['m', 'e'],
      ['Ġ', 's'],
      ['s', 'o'],
      ['so', 'me'],
    ]);
    const { vocab } = base['model'] as { vocab: Record<string, number> };
    // The oracle crashes on a token of blanks whose blanks another token has taken.
    const strips = random.below(2) === 0;
    // These two are equal in NFC, so it is arbitrary which one is found.
    const accented = ['é', 'e\u0301'][random.below(2)];
    const chosen = texts.filter((text) => random.below(2) === 0 && !(strips && text === '  ') && text !== accented);
    let next = Object.keys(vocab).length;
    const added = chosen.map((text) =>
      addedToken(
        vocab[text] ?? next++,
        text,
        Object.fromEntries(flags.map((flag) => [flag, random.below(3) === 0 && (strips || flag !== 'rstrip')])),
      ),
    );
    return { ...base, added_tokens: added, normalizer: random.below(2) === 0 ? null : { type: 'NFC' } };
  }

  it('are found like the oracle finds them, whatever their flags', async () => {
    const random = new Random(31);
    for (let round = 0; round < 150; round++) {
      const pair = new Pair(fileWith(random));
      const samples = Array.from({ length: 120 }, () =>
        Array.from({ length: 1 + random.below(8) }, () => pieces[random.below(pieces.length)]!).join(''),
      );
      expect(await pair.differences(samples), `round ${round}`).toEqual([]);
    }
  });

  it('of real models are where the oracle finds them', async () => {
    const random = new Random(32);
    for (const file of [llama, qwen]) {
      const pair = pairOf(file);
      const contents = [...pair.ours.addedTexts.slice(0, 30), '<|', '|>', ' ', '\n', 'a', 'é', '<tool', '_call>'];
      const samples = Array.from({ length: 5000 }, () =>
        Array.from({ length: 1 + random.below(8) }, () => contents[random.below(contents.length)]!).join(''),
      );
      expect(await pair.differences(samples, true)).toEqual([]);
    }
  });
});

describe('special tokens', () => {
  const template = (single: readonly object[]): TokenizerJson => ({
    type: 'TemplateProcessing',
    single,
    pair: single,
    special_tokens: { x: { id: 'x', ids: [5, 6], tokens: ['a', 'b'] }, y: { id: 'y', ids: [7], tokens: ['c'] } },
  });
  const text = { Sequence: { id: 'A', type_id: 0 } };
  const special = (id: string): object => ({ SpecialToken: { id, type_id: 0 } });
  const bytes = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };

  it.each([
    ['none', null],
    ['a template', template([special('x'), text, special('y'), special('x')])],
    ['ids of BERT', { type: 'BertProcessing', sep: ['a', 9], cls: ['b', 8] }],
    [
      'ids of RoBERTa',
      { type: 'RobertaProcessing', sep: ['a', 9], cls: ['b', 8], trim_offsets: true, add_prefix_space: false },
    ],
    [
      'a sequence',
      {
        type: 'Sequence',
        processors: [bytes, template([special('y'), text, special('y')]), bytes],
      },
    ],
  ])('of %s are put around the text on request', async (_name, processor) => {
    const pair = new Pair({ ...byteLevel([['h', 'e']]), post_processor: processor });
    const samples = ['', 'hello', 'a<|end|>b'];
    expect(await pair.differences(samples, true)).toEqual([]);
    expect(await pair.differences(samples, false)).toEqual([]);
  });
});

describe('a megabyte without a break', () => {
  const million = 1_000_000;
  const { ours: cased } = pairOf(files[2]![1]);
  const { ours: plain } = pairOf(qwen);
  it.each([
    ['one letter', plain, 'a'.repeat(million)],
    ['blanks before a letter', plain, `${' '.repeat(million)}x`],
    ['openings of added tokens', plain, '<|object_ref_'.repeat(million / 13)],
    ['capitals', cased, 'AÉ'.repeat(million / 2)],
    ['marks', cased, '\u0301'.repeat(million / 2)],
    ['ideographs', cased, '語彙'.repeat(million / 6)],
  ])('of %s is tokenized', (_kind, tokenizer, text) => {
    expect(tokenizer.decode(tokenizer.encode(text, false)) === text).toBe(true);
  });
});
