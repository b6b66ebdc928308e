// The parts of an engine's answer that the gateway and the load client read; unset fields may be absent or null.

import { lastMember, skipSpace } from './json-members.ts';

export interface CompletionChunk {
  readonly choices?: readonly CompletionChoice[] | null;
  readonly usage?: unknown;
  readonly error?: { readonly message?: unknown; readonly code?: unknown } | string | null;
}

/** What an error of an engine says. Its parts may be of any type: an object may not even turn into a text. */
export function errorText(error: NonNullable<CompletionChunk['error']>): string {
  const message: unknown = typeof error === 'object' ? error.message : error;
  return typeof message === 'object' && message !== null ? 'the engine reported an error' : String(message);
}

export interface CompletionChoice {
  readonly index?: unknown;
  readonly finish_reason?: unknown;
  readonly token_ids?: unknown;
  readonly text?: unknown;
  readonly delta?: {
    readonly role?: unknown;
    readonly content?: unknown;
    readonly reasoning?: unknown;
    readonly reasoning_content?: unknown;
    readonly refusal?: unknown;
    readonly tool_calls?: unknown;
    readonly function_call?: unknown;
  } | null;
}

/**
 * Whether a choice of a stream carries a token: content, reasoning, a refusal, a tool call or text. Empty text counts;
 * the delta that only opens a chat message does not. Token ids are more exact, so callers check them first.
 * @param started the choice has had a token before
 */
export function carriesToken(choice: CompletionChoice, started: boolean): boolean {
  if (typeof choice.text === 'string') return true;
  const delta = choice.delta;
  if (delta === undefined || delta === null) return false;
  if (Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0) return true;
  if (delta.function_call !== undefined && delta.function_call !== null) return true;
  for (const text of [delta.content, delta.reasoning, delta.reasoning_content, delta.refusal]) {
    if (typeof text !== 'string') continue;
    const opensMessage = text === '' && !started && typeof delta.role === 'string';
    if (!opensMessage) return true;
  }
  return false;
}

/** The text of a choice, whatever it is. */
export function textOf(api: 'chat' | 'completions', { delta, text }: CompletionChoice): unknown {
  return api === 'chat' ? delta?.content : text;
}

export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** Engines send null, an empty text or an empty list for what a choice does not have. */
export function isFilled(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== '';
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens found in the engine's cache; null if it does not say. */
  readonly cachedTokens: number | null;
}

/** Larger counts are an engine's mistake: 4,096 choices of half a million tokens are fewer. */
export const usageTokensMax = 2 ** 31 - 1;

/** `absent` includes null, which engines send until they have a usage. */
export type UsageReading = Usage | 'absent' | 'malformed';

/**
 * Reads the usage object of the OpenAI API. `malformed`: a count is not an integer from 0 to `usageTokensMax`, or there
 * are more cached than prompt tokens; no part of it can be trusted.
 */
export function readUsage(value: unknown): UsageReading {
  if (typeof value !== 'object' || value === null) return 'absent';
  const usage = value as { prompt_tokens?: unknown; completion_tokens?: unknown; prompt_tokens_details?: unknown };
  const details = usage.prompt_tokens_details as { cached_tokens?: unknown } | null | undefined;
  const promptTokens = usage.prompt_tokens;
  const completionTokens = usage.completion_tokens ?? 0;
  const cachedTokens = details?.cached_tokens ?? null;
  if (!isTokenCount(promptTokens) || !isTokenCount(completionTokens)) return 'malformed';
  if (cachedTokens === null) return { promptTokens, completionTokens, cachedTokens };
  if (!isTokenCount(cachedTokens) || cachedTokens > promptTokens) return 'malformed';
  return { promptTokens, completionTokens, cachedTokens };
}

function isTokenCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= usageTokensMax;
}

/** Parsing a larger body would block the event loop: only its usage is parsed. */
const parsedBodyBytesMax = 256 * 1024;

/** Usage of an answer in one piece. O(bytes) */
export function readBodyUsage(body: Buffer): UsageReading {
  try {
    if (body.length > parsedBodyBytesMax) return readUsage(usageOfLargeBody(body));
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? readUsage((value as { usage?: unknown }).usage) : 'absent';
  } catch {
    // Not JSON: engines may answer anything, and the client gets it unchanged.
    return 'absent';
  }
}

/** @throws Error if the body is not a JSON object */
function usageOfLargeBody(body: Buffer): unknown {
  const open = skipSpace(body, 0);
  const usage = body[open] === 0x7b ? lastMember(body, open, 'usage') : null;
  if (usage === null || usage.end - usage.start > parsedBodyBytesMax) return undefined;
  return JSON.parse(body.toString('utf8', usage.start, usage.end));
}
