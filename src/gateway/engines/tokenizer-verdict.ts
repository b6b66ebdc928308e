// Whether an engine makes the same token ids as the gateway, for texts and for chats.

import type { ChatFeature } from '../../tokens/chat-facts.ts';

/**
 * `double-bos`: the ids differ only in that one side begins with the same token twice: a template that writes BOS, and
 * a tokenizer that adds another one. `unavailable`: the engine does not tell its token ids. `asked`: it does, and there
 * is no tokenizer to compare them with: they are the prompts' ids.
 */
export type Parity = 'unchecked' | 'agrees' | 'differs' | 'double-bos' | 'unavailable' | 'asked';

export interface TokenizerVerdict {
  readonly text: Parity;
  readonly chat: Parity;
  /** Of chats, where plain ones agree: what this engine renders otherwise than the tokenizer. */
  readonly differing?: readonly ChatFeature[];
}
