// The tokenizer interface that gateway and engine share.

import type { ChatFacts } from './chat-facts.ts';
import type { JsonText } from './exact-json.ts';
import type { LongText } from './long-text.ts';
import type { TokenizerTurn } from './tokenizer-turn.ts';

export interface Tokenizer {
  /** Shown in logs and on /workers: `builtin:cl100k_base` or the path of a tokenizer.json. */
  readonly name: string;
  /** All ids are below it. */
  readonly vocabSize: number;
  /**
   * Exact ids of `text`. Added tokens (`<|im_end|>`) in it are recognized, as in engines. Ids that are known at once
   * are returned directly, else as a promise.
   * @throws TokenizerError, directly or as a rejection
   */
  encode(text: string | LongText, options?: EncodeOptions): Uint32Array | Promise<Uint32Array>;
  /** Text of `ids`, with added tokens; invalid UTF-8 and ids without a token become U+FFFD. */
  decode(ids: ArrayLike<number>): string | Promise<string>;
  /** The prompt that the engine makes of chat messages. @throws TokenizerError naming the field */
  renderChat(chat: ChatInput): RenderedChat;
  /** Ids of `renderChat`'s text, without further special tokens unless the chat asks for them. */
  encodeChat(chat: ChatInput, turn?: TokenizerTurn): EncodedChat | Promise<EncodedChat>;
  /** Ends background work; waiting calls fail with `closed`. */
  close(): Promise<void>;
}

export interface EncodeOptions {
  /** Adds BOS and similar tokens, as the engines' /v1/completions does. Default true. */
  readonly addSpecialTokens?: boolean | undefined;
  /** The turn of the request that the text belongs to. Its memory may hold the ids. */
  readonly turn?: TokenizerTurn | undefined;
}

/** The fields of a chat request that the template sees, as the JSON that the client wrote. */
export interface ChatInput {
  /** A list of messages. */
  readonly messages: JsonText;
  /** The result of `chatFacts` for the messages, if known. */
  readonly facts?: ChatFacts | undefined;
  /** A list of tools. */
  readonly tools?: JsonText | null | undefined;
  /** Ends the prompt with the start of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** An object with additional template variables. */
  readonly chatTemplateKwargs?: JsonText | null | undefined;
  /** Adds BOS and similar tokens around the template's text, as in the engines' chats. Default false. */
  readonly addSpecialTokens?: boolean | undefined;
  /** Leaves the last message open, so that the model continues it. Default false. */
  readonly continueFinalMessage?: boolean | undefined;
  /** The client's own template, instead of the model's. */
  readonly chatTemplate?: JsonText | null | undefined;
  /** Options for the engine's processing of non-text parts. */
  readonly mmProcessorKwargs?: JsonText | null | undefined;
}

/**
 * Not exact if a message has a part that is not text (an image): only the engine knows its tokens. `text` then ends
 * before the part, cut after an added token, so that its tokens are a prefix of the engine's; `rest` is the remaining
 * text, and `otherParts` the number of non-text parts in it.
 */
export type RenderedChat =
  | { readonly text: string; readonly exact: true }
  | { readonly text: string; readonly exact: false; readonly rest: string; readonly otherParts: number };

/** As `RenderedChat`, in tokens; `restTokens` is approximate, and null if unknown. */
export type EncodedChat =
  | { readonly ids: Uint32Array; readonly exact: true }
  | {
      readonly ids: Uint32Array;
      readonly exact: false;
      readonly restTokens: number | null;
      readonly otherParts: number;
    };

export type TokenizerErrorCode =
  /** The tokenizer's file or folder does not exist. */
  | 'tokenizer-missing'
  /** It exists but is not a usable tokenizer. */
  | 'tokenizer-unsupported'
  /** A chat needs a chat template, and the tokenizer has none. */
  | 'chat-template-missing'
  /** The chat template does not parse. */
  | 'chat-template-invalid'
  /** The chat needs more than our templates can do: another template, or an open last message. */
  | 'chat-beyond-template'
  /** The chat template exceeds a limit with these messages. */
  | 'chat-template-overrun'
  /** The chat template refuses these messages. */
  | 'chat-template-refused'
  /** A message lacks the shape that every template expects. */
  | 'message-invalid'
  /** The tokenizer could not encode or decode this input. */
  | 'tokenizer-failed'
  /** The queue is full. */
  | 'queue-full'
  /** The text is longer than this tokenizer takes. */
  | 'text-too-long'
  /** The answer took too long. */
  | 'tokenizer-late'
  /** The request has ended. */
  | 'cancelled'
  /** The tokenizer's thread ended during the call; the next call starts another. */
  | 'thread-died'
  /** No engine can be asked for token ids. */
  | 'engine-missing'
  /** The engine could not be reached, or not in time. */
  | 'engine-unreachable'
  /** The engine refused this text or these messages. */
  | 'engine-refused'
  /** The engine's answer is malformed. */
  | 'engine-answer-invalid'
  /** `close` was called. */
  | 'closed';

/** An expected failure of a tokenizer. */
export class TokenizerError extends Error {
  readonly code: TokenizerErrorCode;
  /** The field of the request, or the option, that caused it. */
  readonly param: string | null;

  constructor(code: TokenizerErrorCode, message: string, param: string | null = null) {
    super(message);
    this.name = 'TokenizerError';
    this.code = code;
    this.param = param;
  }
}
