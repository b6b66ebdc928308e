// Naive twin of the stream observer: parses every event of a whole stream.

export interface NaiveObservation {
  /** Tokens by choice. */
  readonly tokens: ReadonlyMap<number, number>;
  readonly complete: boolean;
  readonly error: boolean;
}

interface NaiveChunk {
  error?: unknown;
  usage?: { completion_tokens?: number } | null;
  choices?: {
    index: number;
    finish_reason?: string | null;
    text?: string | null;
    token_ids?: number[] | null;
    delta?: NaiveDelta | null;
  }[];
}

interface NaiveDelta {
  role?: string;
  content?: string | null;
  reasoning?: string | null;
  reasoning_content?: string | null;
  refusal?: string | null;
  tool_calls?: unknown[] | null;
  function_call?: unknown;
}

export function observeNaively(stream: string, choices: number): NaiveObservation {
  const tokens = new Map<number, number>();
  let complete = false;
  let error = false;
  for (const event of stream.split(/\r?\n\r?\n/)) {
    const data = event
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(line[5] === ' ' ? 6 : 5))
      .join('\n');
    if (data === '') continue;
    if (data === '[DONE]') {
      complete = true;
      continue;
    }
    const chunk = JSON.parse(data) as NaiveChunk;
    if (chunk.error) error = true;
    const running = chunk.usage?.completion_tokens;
    for (const choice of chunk.choices ?? []) {
      if (choice.finish_reason) complete = true;
      const before = tokens.get(choice.index);
      if (choice.token_ids) tokens.set(choice.index, (before ?? 0) + choice.token_ids.length);
      else if (carries(choice, before !== undefined)) tokens.set(choice.index, (before ?? 0) + 1);
    }
    if (choices === 1 && running) tokens.set(0, running);
  }
  return { tokens, complete, error };
}

function carries(choice: NonNullable<NaiveChunk['choices']>[number], started: boolean): boolean {
  if (typeof choice.text === 'string') return true;
  const delta = choice.delta ?? {};
  const texts = [delta.content, delta.reasoning, delta.reasoning_content, delta.refusal];
  if ((delta.tool_calls ?? []).length > 0) return true;
  if (delta.function_call) return true;
  if (texts.some((text) => typeof text === 'string' && text !== '')) return true;
  return texts.includes('') && (started || typeof delta.role !== 'string');
}
