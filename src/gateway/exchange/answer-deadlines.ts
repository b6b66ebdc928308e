// Ends answers that take too long or pause for too long.

import { RequestError } from '../../wire/openai-error.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Exchange } from './exchange.ts';
import { replyError } from './http-reply.ts';

const sweepIntervalMs = 100;

type DeadlineSettings = Pick<GatewayConfig, 'totalMsMax' | 'streamIdleMsMax'>;
type Limit = keyof DeadlineSettings | 'shutdownGraceMs';

/** Bytes written to the connection, and when that number last changed. */
interface Progress {
  bytes: number;
  sinceMs: number;
  /** Ends at shutdown only. */
  lasting: boolean;
}

export class AnswerDeadlines {
  readonly #open = new Map<Exchange, Progress>();
  readonly #settings: () => DeadlineSettings;
  readonly #onLimit: (limit: Limit) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(settings: () => DeadlineSettings, onLimit: (limit: Limit) => void) {
    this.#settings = settings;
    this.#onLimit = onLimit;
    this.#timer = setInterval(() => this.#sweep(performance.now()), sweepIntervalMs);
  }

  /** Watches until the response closes: an answer that its client does not read still holds memory and a connection. */
  watch(exchange: Exchange): void {
    this.#open.set(exchange, { bytes: 0, sinceMs: exchange.startedMs, lasting: false });
    exchange.response.once('close', () => this.#open.delete(exchange));
  }

  /** The answer's deadlines are kept elsewhere. */
  forget(exchange: Exchange): void {
    this.#open.delete(exchange);
  }

  /** The answer is a connection: it may last and be silent as long as its client likes. */
  lasts(exchange: Exchange): void {
    const progress = this.#open.get(exchange);
    if (progress !== undefined) progress.lasting = true;
  }

  /** Ends every unfinished answer at shutdown. @returns how many */
  breakOff(shutdownGraceMs: number): number {
    let count = 0;
    for (const [exchange, { lasting }] of [...this.#open]) {
      if (exchange.gone || exchange.response.writableEnded) continue;
      // A connection has no end of its own that it would miss.
      if (!lasting) count += 1;
      this.#end(exchange, 'shutdownGraceMs', shutdownGraceMs);
    }
    return count;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sweep(nowMs: number): void {
    const { totalMsMax, streamIdleMsMax } = this.#settings();
    for (const [exchange, progress] of this.#open) {
      if (progress.lasting) continue;
      const { response } = exchange;
      // A client that does not read also stops the progress: its bytes are not written.
      const bytes = response.socket?.bytesWritten ?? 0;
      if (bytes !== progress.bytes) {
        progress.bytes = bytes;
        progress.sinceMs = nowMs;
      }
      if (nowMs - exchange.startedMs > totalMsMax) this.#end(exchange, 'totalMsMax', totalMsMax);
      else if (response.headersSent && nowMs - progress.sinceMs > streamIdleMsMax) {
        this.#end(exchange, 'streamIdleMsMax', streamIdleMsMax);
      }
    }
  }

  #end(exchange: Exchange, limit: Limit, limitMs: number): void {
    this.#open.delete(exchange);
    if (exchange.gone) return;
    this.#onLimit(limit);
    exchange.abandon(limit);
    endWith(exchange, timeout(limit, limitMs));
  }
}

/** Sends the error if the state of the answer still allows it. */
function endWith({ id, response, answer }: Exchange, error: RequestError): void {
  if (response.writableEnded) {
    // The answer is complete, but the client does not read it.
    response.destroy();
    return;
  }
  if (answer?.fail(error) === true) return;
  if (response.headersSent) response.destroy();
  else replyError(response, error, { 'x-request-id': id });
}

function timeout(limit: Limit, limitMs: number): RequestError {
  switch (limit) {
    case 'totalMsMax':
      return new RequestError(504, 'answer_timeout', `the answer took longer than ${limitMs} ms`);
    case 'streamIdleMsMax':
      return new RequestError(504, 'stream_idle', `the answer paused for longer than ${limitMs} ms`);
    case 'shutdownGraceMs':
      return new RequestError(
        503,
        'shutting_down',
        `the gateway is stopping, and the answer took longer than ${limitMs} ms`,
      );
  }
}
