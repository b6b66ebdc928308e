// Sends one request to a gateway and tells how it ended, word by word.

import { SseSplitter } from '../../src/wire/sse.ts';

const answerMsMax = 90_000;

export interface Question {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Reply {
  readonly id: string;
  readonly ending: 'done' | 'failed' | 'left';
  /** Why it failed; else empty. */
  readonly reason: string;
  readonly text: string;
  /** Chunks with a token that had come; of an answer in one piece: none until its end. */
  readonly tokens: number;
  readonly promptTokens: number | null;
  /** Null: the engine did not say. */
  readonly cachedTokens: number | null;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

interface Choice {
  readonly text?: string;
  readonly delta?: { readonly role?: string; readonly content?: string | null };
  readonly message?: { readonly content?: string | null };
}

interface Chunk {
  readonly choices?: readonly Choice[];
  readonly usage?: Usage | null;
  readonly error?: { readonly message?: string };
}

export interface AskOptions {
  /** Goes away after so many tokens; 0: at once. */
  readonly leaveAfterTokens?: number;
  /** Told of each token, and of the worker that it comes from. */
  readonly onToken?: (tokens: number, worker: string | null) => void;
}

/** Never rejects: whatever goes wrong is in the reply. */
export async function ask(url: string, id: string, question: Question, options: AskOptions = {}): Promise<Reply> {
  const answer = new Answer();
  const leaving = new AbortController();
  const { leaveAfterTokens = Number.POSITIVE_INFINITY, onToken } = options;
  const tell = (ending: Reply['ending'], reason = ''): Reply => ({ id, ending, reason, ...answer.told() });
  try {
    const response = fetch(url + question.path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': id },
      body: JSON.stringify(question.body),
      signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(answerMsMax)]),
    });
    // It has to be on its way before it can be given up.
    if (leaveAfterTokens === 0) setTimeout(() => leaving.abort(), 5);
    const { status, headers, body } = await response;
    if (status !== 200) return tell('failed', `status ${status}: ${await (await response).text()}`);
    if (question.body['stream'] !== true) {
      answer.take(JSON.parse(await (await response).text()));
      return tell('done');
    }
    const events = new SseSplitter((data) => answer.event(data));
    for await (const bytes of body!) {
      events.push(Buffer.from(bytes));
      if (answer.tokens > 0) onToken?.(answer.tokens, headers.get('x-kvoyant-worker'));
      if (answer.tokens >= leaveAfterTokens) leaving.abort();
    }
    if (answer.error !== null) return tell('failed', answer.error);
    return answer.complete ? tell('done') : tell('failed', 'the stream broke off');
  } catch (error) {
    return leaving.signal.aborted ? tell('left') : tell('failed', String((error as Error).cause ?? error));
  }
}

class Answer {
  tokens = 0;
  complete = false;
  error: string | null = null;
  #text = '';
  #usage: Usage | null = null;

  event(data: string): void {
    if (data === '[DONE]') this.complete = true;
    else this.take(JSON.parse(data));
  }

  take({ choices = [], usage, error }: Chunk): void {
    if (error !== undefined) this.error = error.message ?? 'an error without a message';
    if (usage) this.#usage = usage;
    for (const { text, delta, message } of choices) {
      const opens = delta?.role !== undefined && !delta.content;
      if (!opens) this.tokens += 1;
      this.#text += text ?? delta?.content ?? message?.content ?? '';
    }
  }

  told(): Pick<Reply, 'text' | 'tokens' | 'promptTokens' | 'cachedTokens'> {
    const usage = this.#usage;
    return {
      text: this.#text,
      tokens: this.tokens,
      promptTokens: usage?.prompt_tokens ?? null,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? null,
    };
  }
}
