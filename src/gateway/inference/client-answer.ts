// The client's side of an answer: held back until it is certain which engine gives it, then passed on as it comes.

import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Logger } from 'pino';
import { ByteCollector } from '../../wire/byte-collector.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { UsageFilter } from '../../wire/usage-filter.ts';
import type { Exchange, RelayedAnswer } from '../exchange/exchange.ts';
import { responseHeaders } from '../exchange/forwarded-headers.ts';
import { asRequestError } from '../exchange/http-reply.ts';

/** More than that before the first token is passed on: the answer is then this engine's. */
export const heldBytesMax: number = 64 * 1024;
/** When a client that met full engines may come again. */
export const fullRetryAfterS = 1;
/** Between two comments that keep an answer alive while it has no token. */
const commentIntervalMs = 5000;
const comment = ': waiting for the first token\n\n';

export interface AnswerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The gateway's own. */
  readonly extraHeaders: readonly string[];
}

/**
 * `held`: nothing has been sent. `alive`: 200 and comments have, which tie the client to no engine. `tied`: what the
 * engine sends is passed on.
 */
type Stage = 'held' | 'alive' | 'tied';

export class ClientAnswer implements RelayedAnswer {
  readonly #exchange: Exchange;
  #stage: Stage = 'held';
  #head: AnswerHead | null = null;
  readonly #held = new ByteCollector();
  #timer: NodeJS.Timeout | null = null;
  /** An answer that is no stream came after a stream had been promised: its body becomes an error event. */
  #translates = false;
  readonly #hidesUsage: boolean;
  #filter: UsageFilter | null = null;
  /** An error event may be appended to what the client has. */
  #streamsEvents = false;

  /**
   * @param holdMsMax from the arrival of the request; null: the client does not expect a stream
   * @param hidesUsage the client has not asked for the chunk with the usage, which will come
   */
  constructor(exchange: Exchange, holdMsMax: number | null, hidesUsage = false) {
    this.#exchange = exchange;
    this.#hidesUsage = hidesUsage;
    exchange.answer = this;
    if (holdMsMax === null) return;
    const waitMs = Math.max(0, exchange.startedMs + holdMsMax - performance.now());
    this.#timer = setTimeout(() => this.#keepAlive(), waitMs);
  }

  /** An engine began to answer. Nothing is sent yet. */
  begin(head: AnswerHead): void {
    const isFiltered = this.#hidesUsage && head.status === 200 && formOf(head.headers) === 'stream';
    this.#filter = isFiltered ? new UsageFilter() : null;
    this.#head = isFiltered ? { ...head, headers: withoutLength(head.headers) } : head;
  }

  /** Keeps bytes back. @returns false if it is enough: pass them on */
  hold(chunk: Buffer): boolean {
    this.#held.append(chunk);
    return this.#held.length <= heldBytesMax;
  }

  /** The engine's answer is the client's from now on. @returns false if the client should be waited for */
  tie(): boolean {
    const { response } = this.#exchange;
    const head = this.#head!;
    const { status, headers, extraHeaders } = head;
    // There is no body to a 204, whatever the engine announces.
    const passed = status === 204 ? withoutLength(headers) : headers;
    this.#stopTimer();
    if (this.#stage === 'alive') {
      this.#translates = status !== 200 || formOf(headers) !== 'stream';
    } else {
      response.writeHead(status, STATUS_CODES[status] ?? '', [
        ...responseHeaders(passed),
        ...retryHeaders(status, headers),
        ...extraHeaders,
      ]);
      // An error event can only be appended where the length was not announced.
      this.#streamsEvents = formOf(headers) === 'stream' && headers['content-length'] === undefined;
    }
    this.#stage = 'tied';
    return this.#held.length === 0 || this.write(this.#held.take());
  }

  /** Where no byte of the body has come with the head, the head leaves on its own. */
  flushHead(): void {
    this.#exchange.response.flushHeaders();
  }

  /** @returns false if the client should be waited for */
  write(chunk: Buffer): boolean {
    if (!this.#translates) return this.#pass(this.#filter === null ? chunk : this.#filter.push(chunk));
    // More than an error body can be tells the client nothing.
    if (this.#held.length + chunk.length <= heldBytesMax) this.#held.append(chunk);
    return true;
  }

  /** What is kept back of an event that is not complete is passed on: its end will not come. */
  flushEvent(): void {
    if (this.#filter !== null) this.#pass(this.#filter.end());
  }

  end(): void {
    const { response } = this.#exchange;
    this.flushEvent();
    if (this.#translates) response.end(errorEvent(engineError(this.#held.take().toString('utf8'))));
    else response.end();
  }

  /** Forgets what an engine sent that was given up; another one may be tried. */
  drop(): void {
    this.#head = null;
    this.#filter = null;
    this.#held.clear();
  }

  /** Ends an answer that has been opened: with an error event if it is a stream, else it breaks off. */
  cut(error: RequestError): void {
    const { response } = this.#exchange;
    this.#stopTimer();
    if (response.writableEnded) return;
    // A client that does not read would hear of it only after all that it has not read.
    if (!this.#streamsEvents || response.writableNeedDrain) {
      response.destroy();
      return;
    }
    try {
      this.flushEvent();
    } finally {
      response.end(errorEvent(error.body()));
    }
  }

  /** No engine is left to try. @returns false if nothing has been sent: the error has a status of its own then */
  fail(error: RequestError): boolean {
    if (this.#stage === 'held') return false;
    this.cut(error);
    return true;
  }

  close(): void {
    this.#stopTimer();
  }

  #pass(bytes: Buffer): boolean {
    const { response } = this.#exchange;
    return bytes.length === 0 ? !response.writableNeedDrain : response.write(bytes);
  }

  #keepAlive(): void {
    const { response, id } = this.#exchange;
    if (this.#exchange.gone) return;
    if (this.#stage === 'held') {
      this.#stage = 'alive';
      this.#streamsEvents = true;
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        'x-request-id': id,
      });
    }
    if (!response.writableNeedDrain) response.write(comment);
    this.#timer = setTimeout(() => this.#keepAlive(), commentIntervalMs);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/**
 * Does the work that gives the answer. If that throws after the answer has been opened, the client hears of it there.
 * @throws what the work threw, if nothing has been sent
 */
export async function failingInto(
  answer: ClientAnswer,
  { id }: Exchange,
  log: Logger,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!answer.fail(asRequestError(error))) throw error;
    const isExpected = error instanceof RequestError;
    log[isExpected ? 'debug' : 'error']({ requestId: id, err: error }, 'request failed after its answer was opened');
  } finally {
    answer.close();
  }
}

function isEventStream(headers: IncomingHttpHeaders): boolean {
  return (headers['content-type'] ?? '').startsWith('text/event-stream');
}

/** `unreadable-stream`: its events are encoded, although no encoding was asked for. */
export type AnswerForm = 'whole' | 'stream' | 'unreadable-stream';

export function formOf(headers: IncomingHttpHeaders): AnswerForm {
  if (!isEventStream(headers)) return 'whole';
  const encoding = headers['content-encoding'] ?? 'identity';
  return encoding === 'identity' ? 'stream' : 'unreadable-stream';
}

function withoutLength({ 'content-length': _, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  return headers;
}

/** Engines that are full do not always say when to come again. */
function retryHeaders(status: number, headers: IncomingHttpHeaders): string[] {
  const isFull = status === 429 || status === 503;
  return isFull && headers['retry-after'] === undefined ? ['retry-after', String(fullRetryAfterS)] : [];
}

/** The blank line in front ends an event that may have come in part. */
function errorEvent(body: object): string {
  return `\n\ndata: ${JSON.stringify(body)}\n\n`;
}

/** An engine's error body as it is, if it is one. */
function engineError(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'error' in value) return value;
  } catch {
    // Cut at its limit, or no JSON: the client hears that the engine failed, if not how.
  }
  return {
    error: {
      message: 'the engine did not stream an answer',
      type: 'server_error',
      param: null,
      code: 'upstream_failed',
    },
  };
}
