// The contract between text and token ids that gateway and engine share.

import type { ChatFacts } from './chat-facts.ts';
import type { JsonText } from './exact-json.ts';
import type { TokenizerTurn } from './tokenizer-turn.ts';

export interface Tokenizer {
  /** Shown in logs and on /workers: `builtin:cl100k_base` or the path of a tokenizer.json. */
  readonly name: string;
  /** Every id is below it. */
  readonly vocabSize: number;
  /**
   * Exact ids of `text`. Added tokens (`<|im_end|>`) that occur in it are recognised, as engines do.
   * Where the ids are at hand at once they come as they are, else as a promise.
   * @throws TokenizerError, or the promise rejects with one.
   */
  encode(text: string, options?: EncodeOptions): Uint32Array | Promise<Uint32Array>;
  /** Text of `ids`, added tokens included; bytes that are not UTF-8 and ids without a token become U+FFFD. */
  decode(ids: ArrayLike<number>): string | Promise<string>;
  /** The prompt that the engine makes of chat messages. @throws TokenizerError naming the field. */
  renderChat(chat: ChatInput): RenderedChat;
  /** Ids of `renderChat`'s text; without further special tokens, unless the chat asks for them. */
  encodeChat(chat: ChatInput, turn?: TokenizerTurn): EncodedChat | Promise<EncodedChat>;
  /** Ends what runs in the background; calls still waiting fail with `closed`. */
  close(): Promise<void>;
}

export interface EncodeOptions {
  /** As in the engines' /v1/completions: BOS and the like, where the tokenizer has them. Default true. */
  readonly addSpecialTokens?: boolean | undefined;
  /** Of the request that the text belongs to. */
  readonly turn?: TokenizerTurn | undefined;
}

/** The fields of a chat request that the template sees, as the JSON that the client wrote. */
export interface ChatInput {
  /** A list of messages. */
  readonly messages: JsonText;
  /** What `chatFacts` finds in them, where that is known already. */
  readonly facts?: ChatFacts | undefined;
  /** A list of tools. */
  readonly tools?: JsonText | null | undefined;
  /** Ends the prompt with the opening of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** An object: more variables of the template. */
  readonly chatTemplateKwargs?: JsonText | null | undefined;
  /** BOS and the like around what the template writes, as in the engines' chats. Default false. */
  readonly addSpecialTokens?: boolean | undefined;
  /** The last message stays open, for the model to go on with it. Default false. */
  readonly continueFinalMessage?: boolean | undefined;
  /** A template of the client's own in place of the model's. */
  readonly chatTemplate?: JsonText | null | undefined;
  /** How the engine is to read what is no text. */
  readonly mmProcessorKwargs?: JsonText | null | undefined;
}

/**
 * Not exact where a message has a part that is no text (an image): its tokens are the engine's own affair. `text` is
 * then what stands before it, cut behind an added token, so that its tokens are a prefix of the engine's; `rest` is the
 * text behind that, and `otherParts` the number of parts in it that are no text.
 */
export type RenderedChat =
  | { readonly text: string; readonly exact: true }
  | { readonly text: string; readonly exact: false; readonly rest: string; readonly otherParts: number };

/** As `RenderedChat`, in tokens; `restTokens` is about right, and null where nobody can tell. */
export type EncodedChat =
  | { readonly ids: Uint32Array; readonly exact: true }
  | {
      readonly ids: Uint32Array;
      readonly exact: false;
      readonly restTokens: number | null;
      readonly otherParts: number;
    };

export type TokenizerErrorCode =
  /** The file or folder given as tokenizer is not there. */
  | 'tokenizer-missing'
  /** It is there but is no tokenizer that can be used. */
  | 'tokenizer-unsupported'
  /** Chat was asked of a tokenizer without a chat template. */
  | 'chat-template-missing'
  /** The chat template does not parse. */
  | 'chat-template-invalid'
  /** The chat asks for what a template of ours can't do: another template, a last message that stays open. */
  | 'chat-beyond-template'
  /** The chat template would write or do more than it may with these messages. */
  | 'chat-template-overrun'
  /** The chat template does not accept these messages. */
  | 'chat-template-refused'
  /** A message lacks the shape that every template expects. */
  | 'message-invalid'
  /** The tokenizer could not encode or decode this input. */
  | 'tokenizer-failed'
  /** As many texts wait for the thread as may. */
  | 'queue-full'
  /** The text is longer than what is tokenized here. */
  | 'text-too-long'
  /** The thread had other texts to do for too long. */
  | 'tokenizer-late'
  /** Its request has ended. */
  | 'cancelled'
  /** The tokenizer's thread ended with this call in flight; the next call starts another. */
  | 'thread-died'
  /** No engine that could be asked tells token ids. */
  | 'engine-missing'
  /** The engine that was asked could not be reached, or not in time. */
  | 'engine-unreachable'
  /** The engine that was asked refused this text or these messages. */
  | 'engine-refused'
  /** What the engine answered is not what it should be. */
  | 'engine-answer-invalid'
  /** `close` was called. */
  | 'closed';

/** An expected failure of a tokenizer. */
export class TokenizerError extends Error {
  readonly code: TokenizerErrorCode;
  /** The field of the request, or the option, that is at fault. */
  readonly param: string | null;

  constructor(code: TokenizerErrorCode, message: string, param: string | null = null) {
    super(message);
    this.name = 'TokenizerError';
    this.code = code;
    this.param = param;
  }
}
