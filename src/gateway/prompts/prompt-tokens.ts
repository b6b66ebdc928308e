// Turns the prompts of a request into tokens where a tokenizer can, otherwise into bytes.

import { createHash } from 'node:crypto';
import { countOtherParts, factsOf } from '../../tokens/chat-facts.ts';
import { writeJson } from '../../tokens/chat-question.ts';
import type { JsonText } from '../../tokens/exact-json.ts';
import { laterTurn } from '../../tokens/in-pieces.ts';
import { isJsonObject, type Json, type JsonList } from '../../tokens/json-values.ts';
import { utf8Of } from '../../tokens/long-text.ts';
import { type EncodedChat, type Tokenizer, TokenizerError, type TokenizerErrorCode } from '../../tokens/tokenizer.ts';
import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { type PromptContent, unclaimed } from './prompt-content.ts';
import type { ChatPrompt, PromptInput, TextPrompt } from './prompt-input.ts';

/** Called for a prompt that could not be tokenized; it is routed by its bytes. */
export type OnTokenizerFailure = (error: TokenizerError) => void;

/** The parts of a tokenizer that prompts need. */
export type PromptTokenizer = Pick<Tokenizer, 'encode' | 'encodeChat'>;

/** Approximate bytes of one token's embedding: base64 of two bytes per dimension. */
const embeddingBytes = 10_000;
const lineEnd = Buffer.from('\n');

/**
 * Falls back to bytes if the tokenizer fails, except for a template limit, which the client can avoid.
 * @returns the contents at once if every token id is at hand, else a promise
 * @throws RequestError 400 if a chat template exceeds a limit on its work or output, directly or as a rejection
 */
export function readContents(
  prompts: readonly PromptInput[],
  tokenizer: PromptTokenizer | null,
  onFailure: OnTokenizerFailure,
  turn: TokenizerTurn = new TokenizerTurn(),
): PromptContent[] | Promise<PromptContent[]> {
  const read = (prompt: PromptInput): PromptContent | Promise<PromptContent> =>
    readContent(prompt, tokenizer, onFailure, turn);
  if (prompts.length > promptsPerTurn) return readInTurns(prompts, read);
  const contents: (PromptContent | Promise<PromptContent>)[] = [];
  let isComplete = true;
  for (const prompt of prompts) {
    const content = read(prompt);
    if (content instanceof Promise) isComplete = false;
    contents.push(content);
  }
  return isComplete ? (contents as PromptContent[]) : Promise.all(contents);
}

/** Handing one to the tokenizer's thread takes some 20 microseconds, and up to 0.5 ms where it is long. */
const promptsPerTurn = 32;

async function readInTurns(
  prompts: readonly PromptInput[],
  read: (prompt: PromptInput) => PromptContent | Promise<PromptContent>,
): Promise<PromptContent[]> {
  const contents: (PromptContent | Promise<PromptContent>)[] = [];
  for (const [index, prompt] of prompts.entries()) {
    if (index > 0 && index % promptsPerTurn === 0) await laterTurn();
    const content = read(prompt);
    // Nobody waits for it before the last one is handed over.
    if (content instanceof Promise) content.catch(() => undefined);
    contents.push(content);
  }
  return Promise.all(contents);
}

/** The template refuses the chat: known here, or from an engine. */
const refusals: ReadonlySet<TokenizerErrorCode> = new Set<TokenizerErrorCode>([
  'chat-template-refused',
  'engine-refused',
]);

function readContent(
  prompt: PromptInput,
  tokenizer: PromptTokenizer | null,
  onFailure: OnTokenizerFailure,
  turn: TokenizerTurn,
): PromptContent | Promise<PromptContent> {
  if (prompt.kind === 'tokens') return prompt;
  if (prompt.kind === 'embeddings') return unclaimed({ restTokens: Math.ceil(prompt.bytes / embeddingBytes) });
  if (prompt.kind === 'continuation') return unclaimed({ restBytes: prompt.bytes });
  if (prompt.kind === 'written') return { kind: 'bytes', bytes: utf8Of(prompt.text), otherParts: 0 };
  if (tokenizer === null) return asBytes(prompt);
  const recover = (error: unknown): PromptContent | Promise<PromptContent> => {
    if (!(error instanceof TokenizerError)) throw error;
    if (prompt.kind === 'chat' && prompt.otherwise !== undefined && refusals.has(error.code)) {
      return readContent(prompt.otherwise, tokenizer, onFailure, turn);
    }
    if (error.code === 'chat-template-overrun')
      throw new RequestError(400, 'template_limit', error.message, error.param);
    // The client is gone.
    if (error.code !== 'cancelled') onFailure(error);
    return asBytes(prompt);
  };
  try {
    const content = prompt.kind === 'text' ? encodeText(prompt, tokenizer, turn) : encodeChat(prompt, tokenizer, turn);
    return content instanceof Promise ? content.catch(recover) : content;
  } catch (error) {
    return recover(error);
  }
}

function encodeText(
  { text, addSpecialTokens }: TextPrompt,
  tokenizer: PromptTokenizer,
  turn: TokenizerTurn,
): PromptContent | Promise<PromptContent> {
  const ids = tokenizer.encode(text, { addSpecialTokens, turn });
  return ids instanceof Promise ? ids.then(asTokens) : asTokens(ids);
}

function encodeChat(
  prompt: ChatPrompt,
  tokenizer: PromptTokenizer,
  turn: TokenizerTurn,
): PromptContent | Promise<PromptContent> {
  const read = (encoded: EncodedChat): PromptContent => {
    if (encoded.exact) return asTokens(encoded.ids);
    const { ids: tokens, restTokens, otherParts } = encoded;
    const restBytes = restTokens === null ? asBytes(prompt).bytes.length : 0;
    return { kind: 'beginning', tokens, restTokens: restTokens ?? 0, restBytes, otherParts };
  };
  const encoded = tokenizer.encodeChat(prompt.chat, turn);
  return encoded instanceof Promise ? encoded.then(read) : read(encoded);
}

function asTokens(tokens: Uint32Array): PromptContent {
  return { kind: 'tokens', tokens };
}

/**
 * A chat's bytes cover everything that its template may read. They are taken as they were written, without the bracket
 * at the end, so a chat begins with the bytes of the chat that it continues. Images are an exception where that is quick.
 */
function asBytes(prompt: ChatPrompt | TextPrompt): PromptContent & { readonly kind: 'bytes' } {
  if (prompt.kind === 'text') return { kind: 'bytes', bytes: utf8Of(prompt.text), otherParts: 0 };
  const { messages, tools } = prompt.chat;
  const { otherParts } = factsOf(prompt.chat);
  if (otherParts === 0 || !messages.isShort || tools?.isShort === false) {
    const written = utf8Of(messages.written).subarray(0, -1);
    const bytes = tools ? Buffer.concat([utf8Of(tools.written), lineEnd, written]) : written;
    return { kind: 'bytes', bytes, otherParts };
  }
  const parts = [...listOf(tools), ...listOf(messages).map(withDigests)];
  return { kind: 'bytes', bytes: Buffer.from(parts.map(writeJson).join('\n')), otherParts };
}

function listOf(text: JsonText | null | undefined): JsonList {
  const value = text?.value ?? [];
  return Array.isArray(value) ? (value as JsonList) : [value];
}

/** An image's bytes say nothing about its tokens: its digest stands in for it. */
function withDigests(message: Json): Json {
  const content = isJsonObject(message) ? message.get('content') : null;
  if (!isJsonObject(message) || !Array.isArray(content)) return message;
  const shortened = (content as JsonList).map((part) =>
    countOtherParts([part]) === 0 ? part : createHash('sha256').update(writeJson(part)).digest('base64'),
  );
  return new Map(message).set('content', shortened);
}
