// The built-in tokenizer: cl100k_base with a ChatML template, exact, in the calling thread.
//
// Why cl100k_base and not o200k_base: half the size (it loads in half the time), a split pattern of three plain
// classes that never backtracks, and the pattern that Llama 3 and Qwen 2 took over with small changes.

import { ByteLevelBpe } from './byte-level-bpe.ts';
import type { AddedTokenSpec } from './byte-level-spec.ts';
import { ByteLevelTokenizer } from './byte-level-tokenizer.ts';
import { tiktokenClasses } from './character-classes.ts';
import { ChatTemplate } from './chat-template.ts';
import { Cl100kScanner } from './cl100k-scanner.ts';
import { parseRanks } from './cl100k-vocabulary.ts';
import { TokenMerges } from './merges.ts';
import type { Vocabulary } from './vocabulary.ts';

export const builtinName = 'builtin:cl100k_base';

/** The added tokens of cl100k_base, plus `<|im_start|>` and `<|im_end|>` with the ids of OpenAI's ChatML vocabulary. */
export const builtinAddedTokens: readonly AddedTokenSpec[] = Object.entries({
  '<|endoftext|>': 100257,
  '<|fim_prefix|>': 100258,
  '<|fim_middle|>': 100259,
  '<|fim_suffix|>': 100260,
  '<|im_start|>': 100264,
  '<|im_end|>': 100265,
  '<|endofprompt|>': 100276,
}).map(([text, id]) => ({ text, id, lstrip: false, rstrip: false, normalized: false, singleWord: false }));

export const builtinChatTemplate = `{%- if tools %}<|im_start|>system
Tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}{{ '\\n' }}{{ call | tojson }}{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** Has no BOS, so `addSpecialTokens` changes nothing. */
export class BuiltinTokenizer extends ByteLevelTokenizer {
  constructor(vocabulary: Vocabulary, options: { readonly segmentCacheBytesMax?: number } = {}) {
    const bpe = new ByteLevelBpe({
      spec: { addedTokens: builtinAddedTokens, nfc: false, blankBefore: 'nothing', idsBefore: [], idsBehind: [] },
      vocabulary,
      merges: new TokenMerges(vocabulary),
      splitter: { kind: 'scanner', scanner: new Cl100kScanner(tiktokenClasses(), 3, 'ascii') },
      segmentCacheBytesMax: options.segmentCacheBytesMax,
    });
    super(builtinName, bpe, { standard: new ChatTemplate(builtinChatTemplate, {}, bpe.addedTexts), tools: undefined });
  }
}

let shared: Promise<BuiltinTokenizer> | undefined;

/**
 * One instance per process, loaded on the first call (about 50 ms), so that engines in one process share its memory.
 * Sharing is safe: all its work is synchronous and its caches are exact.
 */
export function loadBuiltinTokenizer(): Promise<BuiltinTokenizer> {
  shared ??= loadVocabulary().then((vocabulary) => new BuiltinTokenizer(vocabulary));
  return shared;
}

/** The vocabulary of cl100k_base, parsed on each call. */
export async function loadVocabulary(): Promise<Vocabulary> {
  const { default: cl100k } = await import('js-tiktoken/ranks/cl100k_base');
  return parseRanks(cl100k.bpe_ranks);
}
