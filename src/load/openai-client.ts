// Sends OpenAI requests over HTTP and measures their streams.

import { Pool } from 'undici';
import type { RequestFailure, RequestRecord } from '../report/request-record.ts';
import { SseSplitter } from '../wire/sse.ts';
import { errorMessage } from './chunk.ts';
import type { LoadRequest } from './load-request.ts';
import { StreamMeter } from './stream-meter.ts';

export interface ClientOptions {
  /** Open sockets at a time. Further requests wait in the client, and their wait counts as latency. Default 1,024. */
  readonly connectionsMax?: number;
  /** From sending to the end of the stream; a longer request is aborted and counts as failed. Default 120,000. */
  readonly requestTimeoutMs?: number;
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Monotonic. Default `performance.now`. */
  readonly now?: () => number;
}

/** A client of one server with its own socket pool. Close it when done. */
export class OpenAiClient {
  /** Bytes kept from the body of a refusal. The rest is dropped. */
  static readonly errorBytesMax: number = 64 * 1024;

  readonly now: () => number;
  readonly #pool: Pool;
  readonly #requestTimeoutMs: number;
  readonly #headers: Record<string, string>;

  /** @param origin such as `http://127.0.0.1:8000` */
  constructor(origin: string, options: ClientOptions = {}) {
    this.now = options.now ?? (() => performance.now());
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 120_000;
    this.#headers = { 'content-type': 'application/json', ...options.headers };
    this.#pool = new Pool(origin, {
      connections: options.connectionsMax ?? 1024,
      // The request timeout is the only one: a long wait for the first byte is a result, not an error.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { noDelay: true },
    });
  }

  /**
   * Never rejects: failures are in the record.
   * @param startMs start of the latencies; default: now
   */
  send(request: LoadRequest, signal?: AbortSignal, startMs: number = this.now()): Promise<RequestRecord> {
    const sentMs = this.now();
    const meter = new StreamMeter();
    return new Promise((resolve) => {
      let settled = false;
      let abortUpstream: ((reason: Error) => void) | null = null;
      const settle = (): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        resolve({
          index: request.index,
          startMs,
          sentMs,
          firstTokenMs: meter.firstTokenMs,
          endMs: this.now(),
          gapsMs: meter.gapsMs(),
          outputTokens: meter.outputTokens,
          promptTokens: meter.promptTokens,
          cachedTokens: meter.cachedTokens,
          failure: meter.failure,
        });
      };
      const giveUp = (failure: RequestFailure): void => {
        meter.fail(failure);
        settle();
        abortUpstream?.(new Error(failure.message));
      };
      const onAbort = (): void => giveUp({ kind: 'aborted', message: 'aborted by the load client' });
      const timer = setTimeout(() => {
        giveUp({ kind: 'timeout', message: `no end within requestTimeoutMs ${this.#requestTimeoutMs}` });
      }, this.#requestTimeoutMs);
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });

      const answer = new Answer(meter, this.now);
      this.#pool.dispatch(
        { path: request.path, method: 'POST', headers: this.#headers, body: request.body },
        {
          onRequestStart: (controller) => {
            abortUpstream = (reason) => controller.abort(reason);
            // It ended while waiting for a socket.
            if (settled) controller.abort(new Error('given up before it was sent'));
          },
          onResponseStart: (_controller, status) => answer.start(status),
          onResponseData: (_controller, bytes) => {
            answer.bytes(bytes);
            if (meter.ended) settle();
          },
          onResponseEnd: () => {
            answer.end();
            settle();
          },
          onResponseError: (_controller, error) => {
            answer.broken(error);
            settle();
          },
        },
      );
    });
  }

  /** Aborts what is still in flight. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** The body of one response: a stream of events, or a refusal with an error body. */
class Answer {
  readonly #meter: StreamMeter;
  readonly #now: () => number;
  readonly #events: SseSplitter;
  #status = 0;
  #nowMs = 0;
  #refusal = '';

  constructor(meter: StreamMeter, now: () => number) {
    this.#meter = meter;
    this.#now = now;
    this.#events = new SseSplitter((data) => this.#meter.data(data, this.#nowMs));
  }

  start(status: number): void {
    this.#status = status;
  }

  bytes(bytes: Buffer): void {
    if (this.#status !== 200) {
      if (this.#refusal.length < OpenAiClient.errorBytesMax) this.#refusal += bytes.toString('utf8');
      return;
    }
    this.#nowMs = this.#now();
    try {
      this.#events.push(bytes);
    } catch (error) {
      this.#meter.fail({ kind: 'protocol', message: error instanceof Error ? error.message : String(error) });
    }
  }

  end(): void {
    if (this.#status === 200) this.#meter.closed();
    else this.#meter.fail({ kind: 'status', message: `HTTP ${this.#status}: ${refusalText(this.#refusal)}` });
  }

  broken(error: Error): void {
    this.#meter.fail({ kind: this.#status === 0 ? 'connect' : 'cut', message: error.message });
  }
}

function refusalText(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed) return errorMessage(parsed.error);
  } catch {
    // Not JSON: keep the text as it is.
  }
  return body.slice(0, 200);
}
