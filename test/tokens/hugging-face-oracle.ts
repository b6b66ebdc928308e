// The Rust `tokenizers` package as the oracle for byte-level tokenizers, and real files for both.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as Oracle } from 'tokenizers';
import type { ByteLevelBpe } from '../../src/tokens/byte-level-bpe.ts';
import { bpeOfImage } from '../../src/tokens/byte-level-loader.ts';
import { readByteLevelSpec } from '../../src/tokens/byte-level-spec.ts';
import { makeByteLevelTables } from '../../src/tokens/byte-level-tables.ts';
import { makeImage } from '../../src/tokens/tokenizer-image.ts';

export { Oracle };

export type TokenizerJson = Record<string, unknown>;

const modules = join(import.meta.dirname, '..', 'node_modules');

/** Folder of a real model's tokenizer. */
export function modelFolder(name: 'llama3_1' | 'qwen2_5'): string {
  return join(modules, '@lenml', `tokenizer-${name}`, 'models');
}

export function readModel(name: 'llama3_1' | 'qwen2_5'): TokenizerJson {
  return JSON.parse(readFileSync(join(modelFolder(name), 'tokenizer.json'), 'utf8')) as TokenizerJson;
}

/** The pre-tokenizer of a file that splits by one or several consecutive regexes. */
export function splitting(...patterns: readonly string[]): TokenizerJson {
  const splits = patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }));
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return { type: 'Sequence', pretokenizers: [...splits, bytes] };
}

/** Our tokenizer and the oracle, loaded from the same file. */
export class Pair {
  readonly ours: ByteLevelBpe;
  readonly oracle: Oracle;

  constructor(file: TokenizerJson) {
    const spec = readByteLevelSpec(file);
    this.ours = bpeOfImage(makeImage('', spec, makeByteLevelTables(file, spec)));
    this.oracle = Oracle.fromString(JSON.stringify(file));
  }

  /** The texts on which the ids differ. */
  async differences(texts: readonly string[], addSpecialTokens = false): Promise<string[]> {
    const wrong: string[] = [];
    for (let from = 0; from < texts.length; from += 5000) {
      const batch = texts.slice(from, from + 5000);
      const encodings = await this.oracle.encodeBatch([...batch], { addSpecialTokens });
      for (const [index, text] of batch.entries()) {
        const theirs = encodings[index]!.getIds();
        const ours = this.ours.encode(text, addSpecialTokens);
        if (ours.length !== theirs.length || theirs.some((id, at) => ours[at] !== id)) wrong.push(JSON.stringify(text));
      }
    }
    return wrong;
  }
}
