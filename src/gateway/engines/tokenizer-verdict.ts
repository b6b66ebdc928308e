// Types for the comparison of an engine's tokenizer with the gateway's, for texts and for chats.

import type { ChatFeature } from '../../tokens/chat-facts.ts';

/**
 * `double-bos`: the ids differ only in that one side repeats the first token: the template writes BOS and the tokenizer
 * adds another. `unavailable`: the engine does not reveal its token ids. `asked`: it does, and prompts use them, since
 * the gateway has no tokenizer.
 */
export type Parity = 'unchecked' | 'agrees' | 'differs' | 'double-bos' | 'unavailable' | 'asked';

export interface TokenizerVerdict {
  readonly text: Parity;
  readonly chat: Parity;
  /** If plain chats agree: features that this engine renders differently from the tokenizer. */
  readonly differing?: readonly ChatFeature[];
}
