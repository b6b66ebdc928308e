// The messages between a tokenizer's thread and the calling thread.

import type { BytesPiece } from './in-pieces.ts';
import type { TokenizerErrorCode } from './tokenizer.ts';
import type { TemplateSources } from './tokenizer-files.ts';

/** What the thread loads. */
export type ThreadSource =
  | { readonly kind: 'builtin' }
  /** An image that was checked or just made (tokenizer-image.ts). */
  | { readonly kind: 'byte-level'; readonly image: SharedArrayBuffer; readonly templates: TemplateSources | null }
  /** `configFile` is the tokenizer_config.json next to it, if there is one. */
  | {
      readonly kind: 'hugging-face';
      readonly tokenizerFile: string;
      readonly configFile: string | null;
      readonly templates: TemplateSources | null;
    };

/** A text, or the number under which its bytes are sent, and its length in UTF-16 code units. */
export type SentText = string | { readonly sent: number; readonly length: number };

/** A chat whose fields are JSON texts. */
export interface ThreadChat<Text = SentText> {
  readonly messages: Text;
  readonly tools: Text | null;
  readonly chatTemplateKwargs: Text | null;
  readonly chatTemplate: Text | null;
  readonly addGenerationPrompt: boolean;
  readonly addSpecialTokens: boolean;
  readonly continueFinalMessage: boolean;
}

export type ThreadTask<Text = SentText> =
  | { readonly kind: 'describe' }
  | { readonly kind: 'encode'; readonly text: Text; readonly addSpecialTokens: boolean }
  | { readonly kind: 'chat'; readonly chat: ThreadChat<Text> }
  | { readonly kind: 'decode'; readonly ids: Uint32Array };

/** The answer to `describe`. */
export interface TokenizerDescription {
  readonly vocabSize: number;
  /** Texts of the added tokens. */
  readonly addedTokens: readonly string[];
}

export type ThreadChatResult =
  | { readonly ids: Uint32Array; readonly exact: true }
  | {
      readonly ids: Uint32Array;
      readonly exact: false;
      readonly restTokens: number;
      readonly otherParts: number;
    };

export type ThreadResult = TokenizerDescription | Uint32Array | string | ThreadChatResult;

/**
 * Each task is answered once, by id, and comes after the pieces of its texts. Tasks of a dropped group that have not
 * begun are not answered.
 */
export type ThreadRequest =
  | { readonly kind: 'piece'; readonly group: number; readonly piece: BytesPiece }
  | { readonly kind: 'work'; readonly id: number; readonly group: number; readonly task: ThreadTask }
  | { readonly kind: 'drop'; readonly group: number };

export type ThreadReply =
  | { readonly kind: 'done'; readonly id: number; readonly result: ThreadResult }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly code: TokenizerErrorCode;
      readonly reason: string;
      readonly param: string | null;
    };

/** The task with each of its texts replaced, in order. */
export function mapTexts<From, To>(task: ThreadTask<From>, to: (text: From) => To): ThreadTask<To> {
  if (task.kind === 'encode') return { ...task, text: to(task.text) };
  if (task.kind !== 'chat') return task;
  const { chat } = task;
  const orNull = (text: From | null): To | null => (text === null ? null : to(text));
  return {
    kind: 'chat',
    chat: {
      ...chat,
      messages: to(chat.messages),
      tools: orNull(chat.tools),
      chatTemplateKwargs: orNull(chat.chatTemplateKwargs),
      chatTemplate: orNull(chat.chatTemplate),
    },
  };
}
