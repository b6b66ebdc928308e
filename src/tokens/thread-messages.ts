// The messages between a tokenizer's thread and the calling thread.

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

/** A chat whose fields are JSON texts. */
export interface ThreadChat {
  readonly messages: string;
  readonly tools: string | null;
  readonly chatTemplateKwargs: string | null;
  readonly chatTemplate: string | null;
  readonly addGenerationPrompt: boolean;
  readonly addSpecialTokens: boolean;
  readonly continueFinalMessage: boolean;
}

export type ThreadTask =
  | { readonly kind: 'describe' }
  | { readonly kind: 'encode'; readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly kind: 'chat'; readonly chat: ThreadChat }
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

/** Each task is answered once, by id. Tasks of a dropped group that have not begun are not answered. */
export type ThreadRequest =
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
