// Loads the tokenizer that a `--tokenizer` value names.
import { loadBuiltinTokenizer } from './builtin-tokenizer.ts';
import { HuggingFaceTokenizer } from './hugging-face-tokenizer.ts';
import { LongTextTokenizer } from './long-text-tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * @param spec `builtin`, or the path of a Hugging Face tokenizer.json or of its folder
 * @throws TokenizerError `tokenizer-missing`, `tokenizer-unsupported` or `chat-template-invalid`
 */
export async function loadTokenizer(spec: string): Promise<Tokenizer> {
  if (spec === 'builtin') return new LongTextTokenizer(await loadBuiltinTokenizer());
  return HuggingFaceTokenizer.load(spec);
}
