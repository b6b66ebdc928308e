// Observes an engine's event stream: first token, tokens of each choice, usage and end, without parsing every chunk.

import type { MemoryHold } from '../../wire/byte-collector.ts';
import {
  type CompletionChunk,
  carriesToken,
  errorText,
  readUsage,
  type Usage,
  type UsageReading,
} from '../../wire/completion-chunk.ts';
import { EventTemplate } from '../../wire/event-template.ts';
import { SseSplitter } from '../../wire/sse.ts';

/** Receives the observer's events. */
export interface StreamListener {
  /** `count` more tokens of this choice; the first call for a choice is its first token. */
  tokens(choice: number, count: number): void;
  /** The engine's own count of tokens so far; only for streams with one choice. */
  totalTokens(count: number): void;
}

/**
 * A longer event counts as one token of the first choice and is not kept: parsing it would block the event loop. Prompts
 * echoed with logprobs are that long.
 */
export const parsedEventBytesMax: number = 1024 * 1024;
/** Templates in a row without a matching event after which this stream learns no more. */
const idleTemplatesMax = 8;

/**
 * Feed it the body of a `text/event-stream` answer of the chat or completions API with `push`, in chunks cut anywhere.
 *
 * The first token is the first chunk with content, reasoning, a tool call, text or token ids. Empty text counts; the
 * chunk that only opens a chat message does not. A chunk counts for as many tokens as its token ids or its running
 * usage say, otherwise one per choice; the final usage corrects the sum.
 */
export class StreamObserver {
  readonly #listener: StreamListener;
  readonly #single: boolean;
  readonly #splitter: SseSplitter;
  /** Tokens seen of each choice; -1 before its first. */
  readonly #tokens: Float64Array;
  #outputTokens = 0;
  #begun = false;
  #usage: UsageReading = 'absent';
  #error: string | null = null;
  #errorStatus: number | null = null;
  #done = false;
  #finished = false;
  #malformedChunks = 0;
  readonly #template = new EventTemplate();
  #idleTemplates = 0;
  /** The latest event was one token of a stream with one choice. */
  #isPlain = false;

  /**
   * @param choices number of choices of the answer: prompts times `n`
   * @param hold counts the memory of an incomplete event
   */
  constructor(choices: number, listener: StreamListener, hold: MemoryHold | null = null) {
    const onLong = (): void => this.#count(0, 1);
    this.#splitter = new SseSplitter((data) => this.#event(data), { keptBytesMax: parsedEventBytesMax, onLong, hold });
    this.#single = choices === 1;
    this.#tokens = new Float64Array(choices).fill(-1);
    this.#listener = listener;
  }

  /** The last usage received; `malformed` once any was. */
  get usage(): UsageReading {
    return this.#usage;
  }

  /** Message of an error that the engine reported in the stream. */
  get error(): string | null {
    return this.#error;
  }

  /** HTTP status of that error, if the engine gave one. */
  get errorStatus(): number | null {
    return this.#errorStatus;
  }

  /** The engine ended its answer: `[DONE]`, or a choice with a finish reason. */
  get complete(): boolean {
    return this.#done || this.#finished;
  }

  /** Nothing follows. */
  get over(): boolean {
    return this.#done;
  }

  /** Some choice has its first token. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Tokens of all choices. */
  get outputTokens(): number {
    return this.#outputTokens;
  }

  /** Chunks that were not JSON objects; they count no tokens. */
  get malformedChunks(): number {
    return this.#malformedChunks;
  }

  /** @throws RangeError if one event exceeds the limits of `SseSplitter`, LimitReached from `hold`; unusable afterwards */
  push(bytes: Buffer): void {
    const at = this.#begun && this.#splitter.isBetweenEvents ? this.#skipPlain(bytes) : 0;
    if (at === bytes.length) return;
    const rest = at === 0 ? bytes : bytes.subarray(at);
    const isWhole = this.#splitter.isBetweenEvents;
    this.#isPlain = false;
    this.#splitter.push(rest);
    if (!this.#isPlain || !isWhole || !this.#splitter.isBetweenEvents) return;
    if (this.#idleTemplates < idleTemplatesMax && this.#template.learn(rest)) this.#idleTemplates += 1;
  }

  /** Counts events that match an earlier one with exactly one token. @returns offset of the first other event */
  #skipPlain(bytes: Buffer): number {
    let at = 0;
    for (let length = this.#template.match(bytes, 0); length > 0; length = this.#template.match(bytes, at)) {
      at += length;
      this.#idleTemplates = 0;
      this.#count(0, 1);
    }
    return at;
  }

  #event(data: string): void {
    this.#isPlain = this.#single && this.#begun && isPlainTokenChunk(data);
    if (this.#isPlain) {
      this.#count(0, 1);
      return;
    }
    if (data === '[DONE]') {
      this.#done = true;
      return;
    }
    const chunk = parseChunk(data);
    if (chunk === null) this.#malformedChunks += 1;
    else this.#chunk(chunk);
  }

  #chunk(chunk: CompletionChunk): void {
    if (chunk.error !== undefined && chunk.error !== null) {
      this.#error = errorText(chunk.error);
      const code = typeof chunk.error === 'object' ? chunk.error.code : null;
      this.#errorStatus = typeof code === 'number' ? code : null;
    }
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    const usage = this.#readUsage(chunk);
    // A chunk has at most one entry per choice.
    for (const choice of choices.slice(0, this.#tokens.length)) {
      if (typeof choice !== 'object' || choice === null) continue;
      const index = Number.isInteger(choice.index) ? (choice.index as number) : 0;
      if (index < 0 || index >= this.#tokens.length) continue;
      if (choice.finish_reason !== undefined && choice.finish_reason !== null) this.#finished = true;
      const tokenIds = Array.isArray(choice.token_ids) ? choice.token_ids.length : null;
      if (tokenIds === null && !carriesToken(choice, this.#tokens[index]! >= 0)) continue;
      const running = this.#single && tokenIds === null ? usage : null;
      const count = running === null ? (tokenIds ?? 1) : running.completionTokens - Math.max(this.#tokens[index]!, 0);
      this.#count(index, Math.max(count, 0));
    }
    if (usage === null) return;
    if (this.#usage !== 'malformed') this.#usage = usage;
    if (this.#single && this.#tokens[0] !== usage.completionTokens && usage.completionTokens > 0) {
      this.#tokens[0] = usage.completionTokens;
      this.#outputTokens = usage.completionTokens;
      this.#begun = true;
      this.#listener.totalTokens(usage.completionTokens);
    }
  }

  #readUsage({ usage }: CompletionChunk): Usage | null {
    const reading = readUsage(usage);
    if (reading === 'malformed') this.#usage = reading;
    return typeof reading === 'string' ? null : reading;
  }

  #count(choice: number, count: number): void {
    this.#tokens[choice] = Math.max(this.#tokens[choice]!, 0) + count;
    this.#outputTokens += count;
    this.#begun = true;
    this.#listener.tokens(choice, count);
  }
}

/**
 * Whether a chunk of a one-choice stream, after its first token, is exactly one token. Recognizes only the most common
 * form; all others are parsed. A needle that contains `":` can't match inside a JSON string, where the quote would be
 * escaped.
 */
function isPlainTokenChunk(data: string): boolean {
  return (
    data.includes('finish_reason":null') &&
    (data.includes('content":"') || data.includes('text":"')) &&
    !data.includes('token_ids":[') &&
    !data.includes('usage":{') &&
    !data.includes('error":')
  );
}

function parseChunk(data: string): CompletionChunk | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    // The caller counts it; the client still gets the chunk.
    return null;
  }
}
