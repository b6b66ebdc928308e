// The parts of an engine's answer that the gateway and the load client read; unset fields may be absent or null.

export interface CompletionChunk {
  readonly choices?: readonly CompletionChoice[] | null;
  readonly usage?: unknown;
  readonly error?: { readonly message?: unknown; readonly code?: unknown } | string | null;
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
 * Whether a choice of a stream brings a token: content, reasoning, a refusal, a tool call or text, empty text included,
 * but not the delta that only opens a chat message. Token ids are the caller's to look at first: they tell how many.
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

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that the engine found in its cache; null: it does not say. */
  readonly cachedTokens: number | null;
}

/** @returns null if the value is not the usage object of the OpenAI API. */
export function readUsage(value: unknown): Usage | null {
  if (typeof value !== 'object' || value === null) return null;
  const usage = value as { prompt_tokens?: unknown; completion_tokens?: unknown; prompt_tokens_details?: unknown };
  if (typeof usage.prompt_tokens !== 'number') return null;
  const details = usage.prompt_tokens_details as { cached_tokens?: unknown } | null | undefined;
  const cached = details?.cached_tokens;
  return {
    promptTokens: usage.prompt_tokens,
    completionTokens: typeof usage.completion_tokens === 'number' ? usage.completion_tokens : 0,
    cachedTokens: typeof cached === 'number' ? cached : null,
  };
}

/** Usage of an answer that came in one piece. @returns null if the body is not such an answer. */
export function readBodyUsage(body: Buffer): Usage | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? readUsage((value as { usage?: unknown }).usage) : null;
  } catch {
    // Not JSON: an engine may answer anything; the client gets it as it came.
    return null;
  }
}
