// Parses one data event of a completion stream: tokens, usage, an error or the end.

import { carriesToken } from '../wire/completion-chunk.ts';

export interface StreamUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly cachedTokens: number | null;
}

export type Chunk =
  /** `tokens` is null if the chunk carries text but no token count. */
  | { readonly kind: 'tokens'; readonly tokens: number | null; readonly usage: StreamUsage | null }
  /** A role, an empty delta or the final usage. */
  | { readonly kind: 'no-tokens'; readonly usage: StreamUsage | null }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'malformed'; readonly message: string };

type Fields = Readonly<Record<string, unknown>>;

const noFields: Fields = {};

const onePlainChunk: Chunk = { kind: 'tokens', tokens: null, usage: null };
const doneData: Chunk = { kind: 'done' };

/** Substrings of chunks that may be more than plain text chunks. */
const notPlain = ['"role"', '"usage":{', '"usage": {', '"token_ids":[', '"token_ids": [', '"error"'];

/**
 * Classifies the data of one event.
 * @param plainMayPass skip parsing if the text looks like a usual chunk: half the cost, and safe once a parsed chunk
 * has shown tokens. A quote inside a JSON string is escaped, so that text can't forge a mark.
 */
export function readChunk(data: string, plainMayPass: boolean): Chunk {
  if (data === '[DONE]') return doneData;
  if (plainMayPass && data.includes('"finish_reason":null') && !notPlain.some((mark) => data.includes(mark))) {
    return onePlainChunk;
  }
  let body: unknown;
  try {
    body = JSON.parse(data);
  } catch {
    return { kind: 'malformed', message: `not JSON: ${data.slice(0, 80)}` };
  }
  return isFields(body) ? readBody(body) : { kind: 'malformed', message: `not an object: ${data.slice(0, 80)}` };
}

function readBody(body: Fields): Chunk {
  const { error, object, choices } = body;
  if (error !== undefined && error !== null) return { kind: 'error', message: errorMessage(error) };
  // Error form of older vLLM versions.
  if (object === 'error') return { kind: 'error', message: errorMessage(body) };
  if (!Array.isArray(choices)) return { kind: 'malformed', message: 'no choices' };
  let carries = false;
  let tokens: number | null = 0;
  for (const choice of choices) {
    if (!isFields(choice)) return { kind: 'malformed', message: 'a choice that is not an object' };
    const { finish_reason: finishReason, token_ids: ids } = choice;
    if (finishReason === 'abort') return { kind: 'error', message: 'the engine aborted the request' };
    if (Array.isArray(ids) ? ids.length === 0 : !carriesToken(choice, false)) continue;
    carries = true;
    if (tokens !== null) tokens = Array.isArray(ids) ? tokens + ids.length : null;
  }
  const usage = readUsage(body);
  return carries ? { kind: 'tokens', tokens, usage } : { kind: 'no-tokens', usage };
}

function readUsage(body: Fields): StreamUsage | null {
  const { usage } = body;
  if (!isFields(usage)) return null;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens, prompt_tokens_details: details } = usage;
  const { cached_tokens: cachedTokens } = isFields(details) ? details : noFields;
  return {
    promptTokens: countOrNull(promptTokens),
    completionTokens: countOrNull(completionTokens),
    cachedTokens: countOrNull(cachedTokens),
  };
}

/** The message of an OpenAI error envelope's `error`, or the error as text. */
export function errorMessage(error: unknown): string {
  const { message } = isFields(error) ? error : noFields;
  if (isString(message)) return message;
  return isString(error) ? error : JSON.stringify(error);
}

function countOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
