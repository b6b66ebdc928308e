// Observes an engine's event stream of an API other than chat and completions: first token, tokens, usage and end.

import { type AnswerDialect, openingUsage, readEvent } from '../../wire/answer-dialect.ts';
import type { MemoryHold } from '../../wire/byte-collector.ts';
import type { UsageReading } from '../../wire/completion-chunk.ts';
import { SseSplitter } from '../../wire/sse.ts';
import { parsedEventBytesMax, type StreamListener } from './stream-observer.ts';

/** Feed it the body of a `text/event-stream` answer with `push`, in chunks cut anywhere. */
export class EventObserver {
  readonly #dialect: AnswerDialect;
  readonly #listener: StreamListener;
  readonly #splitter: SseSplitter;
  #opening: unknown = null;
  #outputTokens = 0;
  #begun = false;
  #usage: UsageReading = 'absent';
  #error: string | null = null;
  #errorStatus: number | null = null;
  #responseId: string | null = null;
  #ended: boolean;
  #over = false;
  /** The latest event was too long to be read. It may be the last one, with the whole answer. */
  #unread = false;

  /** @param hold counts the memory of an incomplete event */
  constructor(dialect: AnswerDialect, listener: StreamListener, hold: MemoryHold | null = null) {
    this.#dialect = dialect;
    this.#listener = listener;
    // Nothing is known of how other streams end.
    this.#ended = dialect === 'other';
    const onLong = (): void => {
      this.#unread = true;
    };
    this.#splitter = new SseSplitter((data) => this.#event(data), { keptBytesMax: parsedEventBytesMax, onLong, hold });
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

  /** The engine ended its answer, or its latest event was too long to tell. */
  get complete(): boolean {
    return this.#ended || this.#unread;
  }

  /** Nothing follows. */
  get over(): boolean {
    return this.#over;
  }

  get begun(): boolean {
    return this.#begun;
  }

  get outputTokens(): number {
    return this.#outputTokens;
  }

  /** Id under which the engine may keep the response. */
  get responseId(): string | null {
    return this.#responseId;
  }

  /** @throws RangeError if one event exceeds the limits of `SseSplitter`, LimitReached from `hold`; unusable afterwards */
  push(bytes: Buffer): void {
    this.#splitter.push(bytes);
  }

  #event(data: string): void {
    this.#unread = false;
    if (this.#dialect === 'messages' && this.#opening === null && !this.#begun) this.#opening = openingUsage(data);
    const { tokens, ends, usage, error, errorStatus, responseId } = readEvent(this.#dialect, data, this.#opening);
    this.#responseId ??= responseId;
    this.#over ||= ends;
    this.#ended ||= ends;
    if (error !== null) {
      this.#error = error;
      this.#errorStatus = errorStatus;
    }
    if (tokens !== null && (tokens > 0 || !this.#begun)) this.#count(tokens);
    if (usage === 'absent') return;
    if (this.#usage !== 'malformed') this.#usage = usage;
    if (usage !== 'malformed' && usage.completionTokens > 0) this.#setTotal(usage.completionTokens);
  }

  #count(tokens: number): void {
    this.#outputTokens += tokens;
    this.#begun = true;
    this.#listener.tokens(0, tokens);
  }

  /** The engine's own count, at the end. */
  #setTotal(tokens: number): void {
    if (!this.#begun) this.#count(0);
    if (tokens === this.#outputTokens) return;
    this.#outputTokens = tokens;
    this.#listener.totalTokens(tokens);
  }
}
