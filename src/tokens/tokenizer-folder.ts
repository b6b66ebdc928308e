// Writes the built-in tokenizer as a Hugging Face folder, for tools that need one to talk to simulated engines.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { builtinAddedTokens, builtinChatTemplate, loadVocabulary } from './builtin-tokenizer.ts';
import { byteCharacters } from './byte-level-alphabet.ts';
import { builtinPattern } from './split-patterns.ts';
import { hashBytes, type Vocabulary } from './vocabulary.ts';

/**
 * Writes `tokenizer.json`, and `tokenizer_config.json` with the chat template. Never changes an existing file.
 * @param contextTokensMax the longest prompt, for tools
 * @returns the paths of the files
 * @throws Error naming a file that can't be written, or exists with other content
 */
export async function writeTokenizerFolder(folder: string, contextTokensMax: number): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files: readonly (readonly [string, object])[] = [
    ['tokenizer.json', tokenizerFile(await loadVocabulary())],
    ['tokenizer_config.json', configFile(contextTokensMax)],
  ];
  const paths: string[] = [];
  for (const [name, content] of files) {
    const path = join(folder, name);
    await writeNew(path, `${JSON.stringify(content)}\n`);
    paths.push(path);
  }
  return paths;
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if ((await readFile(path, 'utf8')) === text) return;
    throw new Error(`${path} exists with other content and is not overwritten`, { cause: error });
  }
}

function configFile(contextTokensMax: number): object {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: contextTokensMax,
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    clean_up_tokenization_spaces: false,
    chat_template: builtinChatTemplate,
  };
}

function tokenizerFile(vocabulary: Vocabulary): object {
  const words = Array.from({ length: vocabulary.size }, (_, id) => written(vocabulary.tokenBytes(id)));
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const split = { type: 'Split', pattern: { Regex: builtinPattern }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: builtinAddedTokens.map(({ id, text }) => ({
      id,
      content: text,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      // Added tokens keep their ids only if they are listed here: other ids are assigned consecutively.
      vocab: Object.fromEntries([
        ...words.map((word, id) => [word, id] as const),
        ...builtinAddedTokens.map(({ text, id }) => [text, id] as const),
      ]),
      merges: mergesOf(vocabulary, words),
    },
  };
}

/**
 * tiktoken merges any two neighbours that form a token, the lowest id first. The equal list of pairs has every split of
 * every token into two tokens, in the order of the whole token.
 */
function mergesOf(vocabulary: Vocabulary, words: readonly string[]): string[] {
  const merges: string[] = [];
  for (let id = 0; id < vocabulary.size; id++) {
    const bytes = vocabulary.tokenBytes(id);
    const cuts: [left: number, right: number][] = [];
    for (let at = 1; at < bytes.length; at++) {
      const left = vocabulary.find(bytes, 0, at, hashBytes(bytes, 0, at));
      const right = vocabulary.find(bytes, at, bytes.length, hashBytes(bytes, at, bytes.length));
      if (left !== -1 && right !== -1) cuts.push([left, right]);
    }
    cuts.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    for (const [left, right] of cuts) merges.push(`${words[left]} ${words[right]}`);
  }
  return merges;
}

/** In the alphabet of byte-level vocabularies. */
function written(bytes: Uint8Array): string {
  let word = '';
  for (const byte of bytes) word += byteCharacters[byte]!;
  return word;
}
