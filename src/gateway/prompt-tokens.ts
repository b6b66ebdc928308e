// Prompts of a request -> tokens (or bytes, where no tokenizer can tell them) -> block hashes.

import type { BlockHasher, Namespace, Prompt } from '../core/index.ts';
import { type Tokenizer, TokenizerError } from '../tokens/tokenizer.ts';
import type { ChatPrompt, InferenceRequest, PromptInput, TextPrompt } from './request-intake.ts';

/** `bytes`: what the tokens are made of, standing in for them. */
export type PromptContent =
  | { readonly kind: 'tokens'; readonly tokens: Uint32Array }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** Told of a prompt that the tokenizer could not take; it is routed by its bytes then. */
export type OnTokenizerFailure = (error: TokenizerError) => void;

/** @returns at once where every token id is at hand, else a promise. Tokenizer failures end in bytes, never in an error. */
export function readContents(
  request: InferenceRequest,
  tokenizer: Tokenizer | null,
  onFailure: OnTokenizerFailure,
): PromptContent[] | Promise<PromptContent[]> {
  const contents = request.prompts.map((prompt) => readContent(prompt, tokenizer, onFailure));
  return contents.some((content) => content instanceof Promise) ? Promise.all(contents) : (contents as PromptContent[]);
}

/** Hashes each prompt once for every block size. */
export function hashContents(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  bytesPerToken: number,
  namespace: Namespace,
): Prompt[] {
  return contents.map((content) =>
    content.kind === 'tokens'
      ? {
          isl: content.tokens.length,
          hashes: blockSizes.map((size) => hasher.hash(content.tokens, size, namespace)),
        }
      : {
          isl: Math.max(1, Math.round(content.bytes.length / bytesPerToken)),
          hashes: blockSizes.map((size) => hasher.hashBytes(content.bytes, size, bytesPerToken, namespace)),
        },
  );
}

/** Bytes of all prompts, or null if any is known in tokens. */
export function promptBytes(contents: readonly PromptContent[]): number | null {
  let bytes = 0;
  for (const content of contents) {
    if (content.kind === 'tokens') return null;
    bytes += content.bytes.length;
  }
  return bytes;
}

function readContent(
  prompt: PromptInput,
  tokenizer: Tokenizer | null,
  onFailure: OnTokenizerFailure,
): PromptContent | Promise<PromptContent> {
  if (prompt.kind === 'tokens') return prompt;
  if (tokenizer === null) return asBytes(prompt);
  const recover = (error: unknown): PromptContent => {
    if (!(error instanceof TokenizerError)) throw error;
    onFailure(error);
    return asBytes(prompt);
  };
  try {
    const ids = encode(prompt, tokenizer);
    return ids instanceof Promise ? ids.then(asTokens).catch(recover) : asTokens(ids);
  } catch (error) {
    return recover(error);
  }
}

function encode(prompt: ChatPrompt | TextPrompt, tokenizer: Tokenizer): Uint32Array | Promise<Uint32Array> {
  if (prompt.kind === 'text') return tokenizer.encode(prompt.text, { addSpecialTokens: prompt.addSpecialTokens });
  const encoded = tokenizer.encodeChat(prompt.chat);
  return encoded instanceof Promise ? encoded.then(({ ids }) => ids) : encoded.ids;
}

function asTokens(tokens: Uint32Array): PromptContent {
  return { kind: 'tokens', tokens };
}

/** A chat is told apart by all that its template may read; equal beginnings have equal bytes. */
function asBytes(prompt: ChatPrompt | TextPrompt): PromptContent {
  const text =
    prompt.kind === 'text'
      ? prompt.text
      : [...(prompt.chat.tools ?? []), ...prompt.chat.messages].map((part) => JSON.stringify(part)).join('\n');
  return { kind: 'bytes', bytes: Buffer.from(text) };
}
