// Loads a Hugging Face tokenizer.json as byte-level BPE, from a cached image if there is one.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ByteLevelBpe } from './byte-level-bpe.ts';
import { OtherTokenizer, readByteLevelSpec } from './byte-level-spec.ts';
import { makeByteLevelTables } from './byte-level-tables.ts';
import type { ImageFolder } from './image-folder.ts';
import { PairMerges } from './merges.ts';
import { UnknownPattern } from './oniguruma-pattern.ts';
import { makeSplitter } from './text-splitter.ts';
import { checkImage, makeImage, type TokenizerImage } from './tokenizer-image.ts';
import { Vocabulary } from './vocabulary.ts';

export interface ByteLevel {
  readonly kind: 'byte-level';
  readonly bpe: ByteLevelBpe;
  readonly image: TokenizerImage;
  /** Whether the image was in the cache; otherwise it was built. */
  readonly cached: boolean;
  /** Why a built image could not be cached; null if it was. */
  readonly unkept: Error | null;
}

/** The file is not byte-level BPE, or not of a kind known to give equal ids. */
export interface NotByteLevel {
  readonly kind: 'other';
  readonly reason: string;
}

/** @param images null disables the cache */
export async function loadByteLevel(
  tokenizerFile: string,
  images: ImageFolder | null,
): Promise<ByteLevel | NotByteLevel> {
  const content = await readFile(tokenizerFile);
  const source = createHash('sha256').update(content).digest('hex');
  const kept = await images?.read(source);
  const found = kept === undefined ? undefined : checkImage(kept, source);
  try {
    if (found !== undefined)
      return { kind: 'byte-level', bpe: bpeOfImage(found), image: found, cached: true, unkept: null };
    const file: unknown = JSON.parse(content.toString());
    const spec = readByteLevelSpec(file);
    const image = makeImage(source, spec, makeByteLevelTables(file, spec));
    const bpe = bpeOfImage(image);
    const unkept = (await images?.write(source, image.memory)) ?? null;
    return { kind: 'byte-level', bpe, image, cached: false, unkept };
  } catch (error) {
    // The next loader reports invalid JSON better.
    const expected = error instanceof OtherTokenizer || error instanceof UnknownPattern || error instanceof SyntaxError;
    if (!expected) throw error;
    return { kind: 'other', reason: error.message };
  }
}

/** @throws UnknownPattern */
export function bpeOfImage({ spec, tables }: TokenizerImage): ByteLevelBpe {
  const splitter = makeSplitter(spec.patterns, spec.blankBefore === 'word');
  const vocabulary = new Vocabulary(tables.vocabulary);
  return new ByteLevelBpe({ spec, vocabulary, merges: new PairMerges(tables.merges, vocabulary), splitter });
}
