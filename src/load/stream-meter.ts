// Measures one stream from its data events and their times: first token, gaps, usage and end.

import type { RequestFailure } from '../report/request-record.ts';
import { readChunk, type StreamUsage } from './chunk.ts';

/**
 * For streams of one choice. Tokens of a chunk = its token ids, else the growth of its running usage, else one. The
 * final usage corrects the sum; tokens it adds count as gaps of 0 ms, because they shared a chunk. So there is one gap
 * fewer than tokens, and the gaps sum up to the time from the first to the last token.
 */
export class StreamMeter {
  /** Output tokens counted per stream. A larger count is not believed. */
  static readonly outputTokensMax = 1_000_000;

  readonly #gapsMs: number[] = [];
  #firstTokenMs: number | null = null;
  #lastTokenMs = 0;
  #tokens = 0;
  #promptTokens: number | null = null;
  #cachedTokens: number | null = null;
  #done = false;
  #failure: RequestFailure | null = null;

  /** True after the end mark or a failure: later events are ignored. */
  get ended(): boolean {
    return this.#done || this.#failure !== null;
  }

  get firstTokenMs(): number | null {
    return this.#firstTokenMs;
  }

  get outputTokens(): number {
    return this.#tokens;
  }

  get promptTokens(): number | null {
    return this.#promptTokens;
  }

  get cachedTokens(): number | null {
    return this.#cachedTokens;
  }

  get failure(): RequestFailure | null {
    return this.#failure;
  }

  gapsMs(): Float64Array {
    return Float64Array.from(this.#gapsMs);
  }

  data(data: string, nowMs: number): void {
    if (this.ended) return;
    const chunk = readChunk(data, this.#firstTokenMs !== null);
    switch (chunk.kind) {
      case 'tokens': {
        const running = chunk.usage?.completionTokens;
        this.#tokensCame(Math.max(1, chunk.tokens ?? (running == null ? 1 : running - this.#tokens)), nowMs);
        this.#usageCame(chunk.usage);
        return;
      }
      case 'no-tokens':
        this.#usageCame(chunk.usage);
        return;
      case 'done':
        this.#done = true;
        return;
      case 'error':
        this.#failure = { kind: 'error-event', message: chunk.message };
        return;
      case 'malformed':
        this.#failure = { kind: 'protocol', message: chunk.message };
        return;
    }
  }

  /** The connection closed, which is a failure if it came before the end mark. */
  closed(): void {
    if (!this.ended) this.fail({ kind: 'cut', message: 'the stream ended without [DONE]' });
  }

  /** Records a failure, unless the stream has ended or failed already. */
  fail(failure: RequestFailure): void {
    if (!this.ended) this.#failure = failure;
  }

  #tokensCame(tokens: number, nowMs: number): void {
    if (!this.#believed(this.#tokens + tokens)) return;
    if (this.#firstTokenMs === null) this.#firstTokenMs = nowMs;
    else this.#gapsMs.push(nowMs - this.#lastTokenMs);
    for (let extra = 1; extra < tokens; extra++) this.#gapsMs.push(0);
    this.#lastTokenMs = nowMs;
    this.#tokens += tokens;
  }

  #usageCame(usage: StreamUsage | null): void {
    if (usage === null) return;
    this.#promptTokens = usage.promptTokens ?? this.#promptTokens;
    this.#cachedTokens = usage.cachedTokens ?? this.#cachedTokens;
    if (usage.completionTokens !== null && this.#tokens > 0) this.#correctTokens(Math.max(1, usage.completionTokens));
  }

  #correctTokens(tokens: number): void {
    if (tokens === this.#tokens || !this.#believed(tokens)) return;
    while (this.#gapsMs.length < tokens - 1) this.#gapsMs.push(0);
    this.#gapsMs.length = tokens - 1;
    this.#tokens = tokens;
  }

  #believed(tokens: number): boolean {
    if (tokens <= StreamMeter.outputTokensMax) return true;
    this.#failure = { kind: 'protocol', message: `more than ${StreamMeter.outputTokensMax} output tokens` };
    return false;
  }
}
