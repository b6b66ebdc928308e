// Prompts of a request -> tokens, as far as a tokenizer can tell them, or bytes.

import { createHash } from 'node:crypto';
import { countOtherParts } from '../../tokens/engine-tokenizer.ts';
import { type EncodedChat, type Tokenizer, TokenizerError } from '../../tokens/tokenizer.ts';
import type { ChatPrompt, InferenceRequest, PromptInput, TextPrompt } from '../inference/request-intake.ts';
import { type PromptContent, unclaimed } from './prompt-content.ts';

/** Told of a prompt that the tokenizer could not take; it is routed by its bytes then. */
export type OnTokenizerFailure = (error: TokenizerError) => void;

/** What of a tokenizer prompts need. */
export type PromptTokenizer = Pick<Tokenizer, 'encode' | 'encodeChat'>;

/** Bytes of a token's embedding, about: base64 of two bytes a dimension. */
const embeddingBytes = 10_000;

/** @returns at once where every token id is at hand, else a promise. Tokenizer failures end in bytes, never in an error. */
export function readContents(
  request: InferenceRequest,
  tokenizer: PromptTokenizer | null,
  onFailure: OnTokenizerFailure,
): PromptContent[] | Promise<PromptContent[]> {
  const contents = request.prompts.map((prompt) => readContent(prompt, tokenizer, onFailure));
  return contents.some((content) => content instanceof Promise) ? Promise.all(contents) : (contents as PromptContent[]);
}

function readContent(
  prompt: PromptInput,
  tokenizer: PromptTokenizer | null,
  onFailure: OnTokenizerFailure,
): PromptContent | Promise<PromptContent> {
  if (prompt.kind === 'tokens') return prompt;
  if (prompt.kind === 'embeddings') return unclaimed({ restTokens: Math.ceil(prompt.bytes / embeddingBytes) });
  if (tokenizer === null) return asBytes(prompt);
  const recover = (error: unknown): PromptContent => {
    if (!(error instanceof TokenizerError)) throw error;
    onFailure(error);
    return asBytes(prompt);
  };
  try {
    const content = prompt.kind === 'text' ? encodeText(prompt, tokenizer) : encodeChat(prompt, tokenizer);
    return content instanceof Promise ? content.catch(recover) : content;
  } catch (error) {
    return recover(error);
  }
}

function encodeText(
  { text, addSpecialTokens }: TextPrompt,
  tokenizer: PromptTokenizer,
): PromptContent | Promise<PromptContent> {
  const ids = tokenizer.encode(text, { addSpecialTokens });
  return ids instanceof Promise ? ids.then(asTokens) : asTokens(ids);
}

function encodeChat(prompt: ChatPrompt, tokenizer: PromptTokenizer): PromptContent | Promise<PromptContent> {
  const read = (encoded: EncodedChat): PromptContent => {
    if (encoded.exact) return asTokens(encoded.ids);
    const { ids: tokens, restTokens, otherParts } = encoded;
    const restBytes = restTokens === null ? asBytes(prompt).bytes.length : 0;
    return { kind: 'beginning', tokens, restTokens: restTokens ?? 0, restBytes, otherParts };
  };
  const encoded = tokenizer.encodeChat(prompt.chat);
  return encoded instanceof Promise ? encoded.then(read) : read(encoded);
}

function asTokens(tokens: Uint32Array): PromptContent {
  return { kind: 'tokens', tokens };
}

/** A chat is told apart by all that its template may read; equal beginnings have equal bytes. */
function asBytes(prompt: ChatPrompt | TextPrompt): PromptContent & { readonly kind: 'bytes' } {
  if (prompt.kind === 'text') return { kind: 'bytes', bytes: Buffer.from(prompt.text), otherParts: 0 };
  const { messages, tools } = prompt.chat;
  const otherParts = messages.reduce((count, { content }) => count + countOtherParts(content), 0);
  const parts = [...(tools ?? []), ...(otherParts === 0 ? messages : messages.map(withDigests))];
  return { kind: 'bytes', bytes: Buffer.from(parts.map((part) => JSON.stringify(part)).join('\n')), otherParts };
}

/** An image's bytes say nothing of its tokens: its digest stands for it. */
function withDigests<M extends { readonly content?: unknown }>(message: M): M {
  const { content } = message;
  if (!Array.isArray(content)) return message;
  const shortened = content.map((part: unknown) =>
    countOtherParts([part]) === 0 ? part : createHash('sha256').update(JSON.stringify(part)).digest('base64'),
  );
  return { ...message, content: shortened };
}
