// Loads the tokenizer that a `--tokenizer` value names.

import { loadBuiltinTokenizer } from './builtin-tokenizer.ts';
import { loadByteLevel } from './byte-level-loader.ts';
import { ByteLevelTokenizer } from './byte-level-tokenizer.ts';
import { HuggingFaceTokenizer } from './hugging-face-tokenizer.ts';
import { cacheFolder, ImageFolder } from './image-folder.ts';
import { LongTextTokenizer } from './long-text-tokenizer.ts';
import { type Tokenizer, TokenizerError } from './tokenizer.ts';
import {
  type ChatTemplates,
  makeTemplates,
  readTokenizerFiles,
  type TokenizerFiles,
  templateSourcesOf,
} from './tokenizer-files.ts';
import type { ThreadOptions } from './tokenizer-thread.ts';

export interface LoadOptions extends ThreadOptions {
  /** Folder that caches tokenizer images; null disables the cache. Default: see `cacheFolder`. */
  readonly imagesPath?: string | null | undefined;
  /**
   * Receives notices about slower or incomplete operation: no fast tokenizer for this file, an image that could not be
   * cached.
   */
  readonly onNotice?: ((notice: string) => void) | undefined;
  /**
   * Reports an invalid chat template as a notice, not an error; chats then fail as if there were none. Default false.
   */
  readonly templateOptional?: boolean | undefined;
}

/**
 * Byte-level BPE runs in our own code, in the calling thread for texts of usual length; all else through
 * @huggingface/tokenizers in a thread.
 * @param spec `builtin`, or the path of a Hugging Face tokenizer.json or its folder
 * @throws TokenizerError `tokenizer-missing`, `tokenizer-unsupported` or `chat-template-invalid`
 */
export async function loadTokenizer(spec: string, options: LoadOptions = {}): Promise<Tokenizer> {
  if (spec === 'builtin') return new LongTextTokenizer(await loadBuiltinTokenizer(), { kind: 'builtin' }, options);
  const files = await readTokenizerFiles(spec);
  const { tokenizerFile } = files;
  const path = options.imagesPath === undefined ? cacheFolder(process.env) : options.imagesPath;
  const loaded = await loadByteLevel(tokenizerFile, path === null ? null : new ImageFolder(path));
  if (loaded.kind === 'other') {
    options.onNotice?.(`${tokenizerFile} uses the library in a thread, which is slower: ${loaded.reason}`);
    return HuggingFaceTokenizer.load(files, (added) => templatesOf(files, added, options), options);
  }
  const { bpe, image, unkept } = loaded;
  if (unkept !== null) options.onNotice?.(`the image of ${tokenizerFile} could not be cached: ${unkept.message}`);
  const inline = new ByteLevelTokenizer(tokenizerFile, bpe, templatesOf(files, bpe.addedTexts, options));
  return new LongTextTokenizer(
    inline,
    { kind: 'byte-level', image: image.memory, templates: templateSourcesOf(files) ?? null },
    options,
  );
}

function templatesOf(
  files: TokenizerFiles,
  addedTokens: readonly string[],
  { templateOptional, onNotice }: LoadOptions,
): ChatTemplates | undefined {
  try {
    const sources = templateSourcesOf(files);
    return sources === undefined ? undefined : makeTemplates(sources, addedTokens);
  } catch (error) {
    if (!templateOptional || !(error instanceof TokenizerError)) throw error;
    onNotice?.(`the chat template of ${files.tokenizerFile} is ignored: ${error.message}`);
    return undefined;
  }
}
