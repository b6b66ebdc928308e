// Ends answers that take too long, or that pause for too long: nothing is held for ever.

import { RequestError } from '../../wire/openai-error.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Exchange } from './exchange.ts';
import { replyError } from './http-reply.ts';

const sweepIntervalMs = 100;

type DeadlineSettings = Pick<GatewayConfig, 'totalMsMax' | 'streamIdleMsMax'>;
type Limit = keyof DeadlineSettings | 'shutdownGraceMs';

/** The answer's progress: bytes that went into the connection, and when their number last changed. */
interface Progress {
  bytes: number;
  sinceMs: number;
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

  /** Until the client has its answer, or is gone: what it does not read is held, and so is its connection. */
  watch(exchange: Exchange): void {
    this.#open.set(exchange, { bytes: 0, sinceMs: exchange.startedMs });
    exchange.response.once('close', () => this.#open.delete(exchange));
  }

  /** The gateway stops: ends every answer that has not ended. @returns how many */
  breakOff(shutdownGraceMs: number): number {
    let count = 0;
    for (const exchange of [...this.#open.keys()]) {
      if (exchange.gone || exchange.response.writableEnded) continue;
      count += 1;
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
      const { response } = exchange;
      // A reader who takes nothing stops it, too: what is not read is not written.
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

/** Tells the client as well as the answer still allows. */
function endWith({ id, response, answer }: Exchange, error: RequestError): void {
  if (response.writableEnded) {
    // It is complete, but the client does not read it.
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
      return new RequestError(503, 'shutting_down', `the gateway stops, and the answer took longer than ${limitMs} ms`);
  }
}
