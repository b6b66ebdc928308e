// Writes small tokenizers in Hugging Face's file format, each into its own folder.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteCharacters } from '../../src/tokens/byte-level-alphabet.ts';

export interface TokenizerFolder {
  readonly path: string;
  write(name: string, content: unknown): void;
  remove(): void;
}

/** @param files by name; text is written unchanged, other values as JSON */
export function tokenizerFolder(files: Readonly<Record<string, unknown>>): TokenizerFolder {
  const path = mkdtempSync(join(tmpdir(), 'kvoyant-tokenizer-'));
  const write = (name: string, content: unknown): void =>
    writeFileSync(join(path, name), typeof content === 'string' ? content : JSON.stringify(content));
  for (const [name, content] of Object.entries(files)) write(name, content);
  return { path, write, remove: () => rmSync(path, { recursive: true }) };
}

/** Flags are off by default. */
export function addedToken(id: number, content: string, flags: Record<string, boolean> = {}): Record<string, unknown> {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags };
}

/** One token per word, `<s>` before a text with special tokens, no token for unknown words. */
export const wordLevel: Readonly<Record<string, unknown>> = {
  version: '1.0',
  added_tokens: [addedToken(0, '<s>'), addedToken(5, '<turn>')],
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: null,
  model: { type: 'WordLevel', vocab: { '<s>': 0, hello: 1, world: 2, user: 3, '?': 4 }, unk_token: '?' },
};

/** Byte-level BPE over the 256 bytes and a few merges, with the pre-tokenizer of GPT-2. */
export function byteLevel(merges: readonly (readonly [string, string])[]): Record<string, unknown> {
  const tokens = [...byteCharacters, ...merges.map((pair) => pair.join(''))];
  return {
    version: '1.0',
    added_tokens: [addedToken(tokens.length, '<|end|>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
}
