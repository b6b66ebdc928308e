// Sends one request to a gateway and records its answer and end.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { SseSplitter } from '../../src/wire/sse.ts';

const answerMsMax = 90_000;
/** When a client leaves that waits for no token. */
const leaveMs = 5;

export interface Question {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** The JSON text to send if its form matters; default: `body`. */
  readonly json?: string;
}

export interface Reply {
  readonly id: string;
  readonly ending: 'done' | 'failed' | 'left';
  /** Why it failed; empty if it did not. */
  readonly reason: string;
  readonly text: string;
  /** Received chunks with a token; for an answer in one piece 0 until its end. */
  readonly tokens: number;
  readonly promptTokens: number | null;
  /** Null: not reported. */
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
  /** Leaves after this many tokens; 0: at once. */
  readonly leaveAfterTokens?: number;
  /** Called for each token with the worker that sent it. */
  readonly onToken?: (tokens: number, worker: string | null) => void;
}

/** Never rejects: failures are in the reply. */
export function ask(url: string, id: string, question: Question, options: AskOptions = {}): Promise<Reply> {
  const { leaveAfterTokens = Number.POSITIVE_INFINITY, onToken } = options;
  const answer = new Answer();
  return new Promise((resolve) => {
    const end = (ending: Reply['ending'], reason = ''): void => {
      clearTimeout(timer);
      resolve({ id, ending, reason, ...answer.told() });
      request.destroy();
    };
    const timer = setTimeout(() => end('failed', `no end within ${answerMsMax / 1000} s`), answerMsMax);
    const request = httpRequest(url + question.path, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', 'x-request-id': id },
    });
    request.on('error', (error) => end('failed', String(error)));
    request.on('response', (response) => {
      const worker = response.headers['x-kvoyant-worker'];
      const take = bodyReader(response, question.body['stream'] === true, answer);
      response.on('data', (bytes: Buffer) => {
        take(bytes);
        if (answer.tokens > 0) onToken?.(answer.tokens, typeof worker === 'string' ? worker : null);
        if (answer.tokens >= leaveAfterTokens) end('left');
      });
      response.on('error', (error) => end('failed', String(error)));
      response.on('end', () => {
        const failure = answer.conclude();
        end(failure === null ? 'done' : 'failed', failure ?? '');
      });
    });
    request.end(question.json ?? JSON.stringify(question.body), () => {
      // It must be sent before it can be given up.
      if (leaveAfterTokens === 0) setTimeout(() => end('left'), leaveMs);
    });
  });
}

function bodyReader({ statusCode }: IncomingMessage, stream: boolean, answer: Answer): (bytes: Buffer) => void {
  if (stream && statusCode === 200) {
    const events = new SseSplitter((data) => answer.event(data));
    return (bytes) => events.push(bytes);
  }
  return (bytes) => answer.part(bytes, statusCode!);
}

class Answer {
  tokens = 0;
  #complete = false;
  #error: string | null = null;
  #text = '';
  #usage: Usage | null = null;
  readonly #parts: Buffer[] = [];
  #status = 200;

  /** Call at the end. @returns why it is not a complete answer; null: it is one */
  conclude(): string | null {
    const body = Buffer.concat(this.#parts).toString('utf8');
    if (this.#status !== 200) return `status ${this.#status}: ${body}`;
    if (body !== '') this.#take(JSON.parse(body) as Chunk);
    return this.#error ?? (this.#complete || body !== '' ? null : 'the stream broke off');
  }

  /** Takes a part of an answer in one piece. */
  part(bytes: Buffer, status: number): void {
    this.#status = status;
    this.#parts.push(bytes);
  }

  event(data: string): void {
    if (data === '[DONE]') this.#complete = true;
    else this.#take(JSON.parse(data) as Chunk);
  }

  #take({ choices = [], usage, error }: Chunk): void {
    if (error !== undefined) this.#error = error.message ?? 'an error without a message';
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
