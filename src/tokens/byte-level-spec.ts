// Reads how a byte-level BPE tokenizer.json splits, normalizes and completes texts.

import { normalizeNfc } from './hugging-face-unicode.ts';
import { gaplessPatterns, gpt2Pattern } from './split-patterns.ts';

/** An added token with its flags, as in the file. */
export interface AddedTokenSpec {
  readonly id: number;
  readonly text: string;
  /** Also takes the whitespace before it. */
  readonly lstrip: boolean;
  /** Also takes the whitespace after it. */
  readonly rstrip: boolean;
  /** Matched in the normalized text, after the tokens that are not. */
  readonly normalized: boolean;
  /** Not matched inside a word. */
  readonly singleWord: boolean;
}

/** Everything in the file except the vocabulary. Representable in JSON. */
export interface ByteLevelSpec {
  readonly addedTokens: readonly AddedTokenSpec[];
  readonly nfc: boolean;
  /** Regexes, each applied to the pieces of the previous one; every match and every gap is a piece. */
  readonly patterns: readonly string[];
  /** What gets a leading blank if it has none: a text between added tokens, every word, or nothing. */
  readonly blankBefore: 'text' | 'word' | 'nothing';
  /** Ids before and after a text if special tokens are requested. */
  readonly idsBefore: readonly number[];
  readonly idsBehind: readonly number[];
  /** A word that is a token becomes that token, whatever the merges would make of it. */
  readonly wordsFirst: boolean;
}

/** Thrown for a file that is not a known kind of byte-level BPE; the message says why. */
export class OtherTokenizer extends Error {}

type Json = Readonly<Record<string, unknown>>;

/** Truncation and padding are ignored: engines switch both off for every request. @throws OtherTokenizer */
export function readByteLevelSpec(file: unknown): ByteLevelSpec {
  const root = objectAt(file, 'the file');
  const model = objectAt(root['model'], 'model');
  requireByteLevelModel(model);
  const { patterns, blankBefore } = readPreTokenizer(root['pre_tokenizer']);
  const { before, behind } = readPostProcessor(root['post_processor']);
  return {
    addedTokens: readAddedTokens(root['added_tokens']),
    nfc: readNormalizer(root['normalizer']),
    patterns,
    blankBefore,
    idsBefore: before,
    idsBehind: behind,
    wordsFirst: model['ignore_merges'] === true,
  };
}

/** Refuses every setting that would change what is merged or how. */
function requireByteLevelModel(model: Json): void {
  if (model['type'] !== 'BPE') refuse(`model.type is ${JSON.stringify(model['type'])}`);
  for (const field of ['dropout', 'continuing_subword_prefix', 'end_of_word_suffix', 'byte_fallback']) {
    if (model[field]) refuse(`model.${field} is set`);
  }
}

function readNormalizer(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  const normalizer = objectAt(value, 'normalizer');
  switch (normalizer['type']) {
    case 'NFC':
      return true;
    case 'Sequence':
      return listAt(normalizer['normalizers'], 'normalizer.normalizers').map(readNormalizer).includes(true);
    default:
      return refuse(`normalizer.type is ${JSON.stringify(normalizer['type'])}`);
  }
}

interface PreTokenizer {
  readonly patterns: string[];
  readonly blankBefore: ByteLevelSpec['blankBefore'];
}

/** Any number of splits, then one ByteLevel, which may split once more. */
function readPreTokenizer(value: unknown): PreTokenizer {
  const outer = objectAt(value, 'pre_tokenizer');
  const steps = outer['type'] === 'Sequence' ? listAt(outer['pretokenizers'], 'pre_tokenizer.pretokenizers') : [outer];
  const patterns = steps.slice(0, -1).map(readSplit);
  const last = objectAt(steps.at(-1), 'pre_tokenizer');
  if (last['type'] !== 'ByteLevel') refuse(`pre_tokenizer ends with ${JSON.stringify(last['type'])}`);
  const blank = last['add_prefix_space'] !== false;
  const blankBefore = !blank ? 'nothing' : patterns.length === 0 ? 'text' : 'word';
  if (last['use_regex'] !== false) {
    if (blankBefore === 'word') refuse('pre_tokenizer splits again after it has inserted blanks');
    patterns.push(gpt2Pattern);
  }
  return { patterns, blankBefore };
}

function readSplit(value: unknown): string {
  const split = objectAt(value, 'pre_tokenizer');
  if (split['type'] !== 'Split') refuse(`pre_tokenizer has a ${JSON.stringify(split['type'])}`);
  const { Regex: pattern } = objectAt(split['pattern'], 'pre_tokenizer.pattern');
  if (typeof pattern !== 'string') return refuse('pre_tokenizer.pattern is not a regex');
  const isolates = split['behavior'] === 'Isolated' && split['invert'] === false;
  // Removes what does not match.
  const keepsMatches = split['behavior'] === 'Removed' && split['invert'] === true && gaplessPatterns.has(pattern);
  if (!isolates && !keepsMatches) refuse('pre_tokenizer does not isolate matches');
  return pattern;
}

interface Surroundings {
  readonly before: readonly number[];
  readonly behind: readonly number[];
}

function readPostProcessor(value: unknown): Surroundings {
  if (value === null || value === undefined) return { before: [], behind: [] };
  const processor = objectAt(value, 'post_processor');
  switch (processor['type']) {
    case 'ByteLevel':
      return { before: [], behind: [] };
    case 'TemplateProcessing':
      return readTemplate(processor);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [idOf(processor['cls'])], behind: [idOf(processor['sep'])] };
    case 'Sequence': {
      const all = listAt(processor['processors'], 'post_processor.processors').map(readPostProcessor);
      const adding = all.filter(({ before, behind }) => before.length + behind.length > 0);
      if (adding.length > 1) refuse('post_processor adds special tokens twice');
      return adding[0] ?? { before: [], behind: [] };
    }
    default:
      return refuse(`post_processor.type is ${JSON.stringify(processor['type'])}`);
  }
}

function readTemplate(processor: Json): Surroundings {
  const before: number[] = [];
  const behind: number[] = [];
  let texts = 0;
  for (const piece of listAt(processor['single'], 'post_processor.single')) {
    const { SpecialToken: special, Sequence: sequence } = objectAt(piece, 'post_processor.single');
    if (sequence !== undefined) {
      if (objectAt(sequence, 'post_processor.single')['id'] !== 'A') refuse('post_processor.single has another text');
      texts++;
      continue;
    }
    const name = String(objectAt(special, 'post_processor.single')['id']);
    const token = objectAt(processor['special_tokens'], 'post_processor.special_tokens')[name];
    const ids = listAt(objectAt(token, `post_processor.special_tokens.${name}`)['ids'], 'post_processor ids');
    (texts === 0 ? before : behind).push(...ids.map(requireId));
  }
  if (texts !== 1) refuse(`post_processor.single has the text ${texts} times`);
  return { before, behind };
}

/** `["<s>", 0]` */
function idOf(value: unknown): number {
  return requireId(listAt(value, 'post_processor')[1]);
}

function readAddedTokens(value: unknown): AddedTokenSpec[] {
  const tokens = listAt(value ?? [], 'added_tokens').map((each): AddedTokenSpec => {
    const token = objectAt(each, 'added_tokens');
    const text = token['content'];
    if (typeof text !== 'string' || text === '') return refuse('an added token has no content');
    return {
      id: requireId(token['id']),
      text,
      lstrip: flagAt(token, 'lstrip'),
      rstrip: flagAt(token, 'rstrip'),
      normalized: flagAt(token, 'normalized'),
      singleWord: flagAt(token, 'single_word'),
    };
  });
  // The package's choice between equal tokens is arbitrary, also if only normalization makes them equal.
  const found = tokens.map(({ text, normalized }) => (normalized ? normalizeNfc(text) : text));
  for (const texts of [tokens.map(({ text }) => text), found]) {
    if (new Set(texts).size < tokens.length) refuse('two added tokens are equal');
  }
  return tokens;
}

function flagAt(token: Json, field: string): boolean {
  const flag = token[field];
  return typeof flag === 'boolean' ? flag : refuse(`an added token lacks the flag ${field}`);
}

function requireId(value: unknown): number {
  return Number.isInteger(value) && (value as number) >= 0 ? (value as number) : refuse('an id is not a number');
}

function objectAt(value: unknown, field: string): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : refuse(`${field} is not an object`);
}

function listAt(value: unknown, field: string): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(`${field} is not a list`);
}

function refuse(reason: string): never {
  throw new OtherTokenizer(reason);
}
