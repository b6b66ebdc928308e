// A prompt as a request states it, before tokenization.

import type { LongText } from '../../tokens/long-text.ts';
import type { ChatInput } from '../../tokens/tokenizer.ts';

export interface ChatPrompt {
  readonly kind: 'chat';
  readonly chat: ChatInput;
  /** What the engine makes of it if its template refuses the chat; absent: nothing. */
  readonly otherwise?: ChatPrompt;
}

export interface TextPrompt {
  readonly kind: 'text';
  readonly text: string | LongText;
  readonly addSpecialTokens: boolean;
}

export interface TokensPrompt {
  readonly kind: 'tokens';
  readonly tokens: Uint32Array;
}

/** Vectors in place of tokens, as base64. */
export interface EmbeddingsPrompt {
  readonly kind: 'embeddings';
  readonly bytes: number;
}

/** What only the engine can turn into a chat: it is known by its bytes, which its continuation begins with. */
export interface WrittenPrompt {
  readonly kind: 'written';
  readonly text: string | LongText;
}

/** What follows a response that only the engine knows. */
export interface ContinuationPrompt {
  readonly kind: 'continuation';
  readonly bytes: number;
}

export type PromptInput =
  | ChatPrompt
  | TextPrompt
  | TokensPrompt
  | EmbeddingsPrompt
  | WrittenPrompt
  | ContinuationPrompt;
