// The client's side of an answer: held until it is certain which engine answers, then streamed as it arrives.

import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Logger } from 'pino';
import { ByteCollector, type MemoryHold } from '../../wire/byte-collector.ts';
import { errorBody, errorEvent } from '../../wire/error-form.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { StreamSplice } from '../../wire/stream-splice.ts';
import { UsageFilter } from '../../wire/usage-filter.ts';
import type { Exchange, RelayedAnswer } from '../exchange/exchange.ts';
import { responseHeaders } from '../exchange/forwarded-headers.ts';
import { asRequestError } from '../exchange/http-reply.ts';
import { AnswerFrames } from './answer-frames.ts';

/** Limit on bytes held before the first token; beyond it the answer is tied to this engine. */
export const heldBytesMax: number = 64 * 1024;
/** `Retry-After` for a client that found every engine full. */
export const fullRetryAfterS = 1;
/** Interval between the comments that keep a stream open before its first token. */
const commentIntervalMs = 5000;
const comment = Buffer.from(': waiting for the first token\n\n');
const nextComment = Buffer.from(': waiting for another engine\n\n');

export interface AnswerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Headers that the gateway adds. */
  readonly extraHeaders: readonly string[];
}

/**
 * `held`: nothing has been sent. `alive`: a 200 and comments have been sent, or part of a stream that broke off; any
 * engine may still answer or go on. `tied`: one engine's answer is being sent.
 */
type Stage = 'held' | 'alive' | 'tied';

export class ClientAnswer implements RelayedAnswer {
  readonly #exchange: Exchange;
  #stage: Stage = 'held';
  #head: AnswerHead | null = null;
  readonly #hold: MemoryHold | null;
  readonly #held: ByteCollector;
  #timer: NodeJS.Timeout | null = null;
  /** A stream was promised, but the engine's answer is not one: its body becomes an error event. */
  #translates = false;
  readonly #hidesUsage: boolean;
  /** Writes the body; null until the head is written. */
  #frames: AnswerFrames | null = null;
  #filter: UsageFilter | null = null;
  /** An error event can be appended to what the client has received. */
  #streamsEvents = false;
  /** Null: another engine can't go on with it. */
  readonly #splice: StreamSplice | null;
  /** The current engine's stream goes through the splice. */
  #splices = false;
  #comment = comment;

  /**
   * @param holdMsMax counted from the request's arrival; null if the client does not expect a stream
   * @param hidesUsage drops the usage chunk, which the gateway asked for and the client did not
   * @param hold counts the memory of held bytes; null if nothing is held
   * @param splice joins the streams of several engines; null: a stream that breaks off ends with an error
   */
  constructor(
    exchange: Exchange,
    holdMsMax: number | null,
    hidesUsage = false,
    hold: MemoryHold | null = null,
    splice: StreamSplice | null = null,
  ) {
    this.#exchange = exchange;
    this.#splice = splice;
    this.#hold = hold;
    this.#held = new ByteCollector(hold);
    this.#hidesUsage = hidesUsage;
    exchange.answer = this;
    if (holdMsMax === null) return;
    const waitMs = Math.max(0, exchange.startedMs + holdMsMax - performance.now());
    this.#timer = setTimeout(() => this.#keepAlive(), waitMs);
  }

  /** Takes the head of an engine's answer. Sends nothing yet. */
  begin(head: AnswerHead): void {
    const isStream = head.status === 200 && formOf(head.headers) === 'stream';
    const isFiltered = this.#hidesUsage && isStream;
    this.#splices = this.#splice !== null && isStream;
    this.#filter = isFiltered ? new UsageFilter(this.#hold) : null;
    this.#head = isFiltered ? { ...head, headers: withoutLength(head.headers) } : head;
  }

  /** Holds bytes. @returns false if the limit is exceeded: the answer should be tied. @throws LimitReached */
  hold(chunk: Buffer): boolean {
    this.#held.append(chunk);
    return this.#held.length <= heldBytesMax;
  }

  /** Ties the answer to this engine and sends what was held. @returns false if the caller should wait for `drain` */
  tie(): boolean {
    const { response } = this.#exchange;
    const head = this.#head!;
    const { status, headers, extraHeaders } = head;
    // A 204 has no body, whatever length the engine announces.
    const passed = status === 204 ? withoutLength(headers) : headers;
    this.#stopTimer();
    if (this.#stage === 'alive') {
      this.#translates = status !== 200 || formOf(headers) !== 'stream';
    } else {
      response.writeHead(status, STATUS_CODES[status] ?? '', [
        ...responseHeaders(passed, extraHeaders),
        ...retryHeaders(status, headers),
        ...extraHeaders,
      ]);
      this.#frames = new AnswerFrames(response);
      // An error event can only be appended if the head announced no length.
      this.#streamsEvents = formOf(headers) === 'stream' && headers['content-length'] === undefined;
    }
    this.#stage = 'tied';
    return this.#held.length === 0 || this.write(this.#held.take());
  }

  /** Sends the head alone, for a body whose first bytes did not arrive with it. */
  flushHead(): void {
    this.#exchange.response.flushHeaders();
  }

  /** @returns false if the caller should wait for `drain`. @throws LimitReached */
  write(chunk: Buffer): boolean {
    if (!this.#translates) return this.#passOn(this.#splices ? this.#splice!.push(chunk) : chunk);
    // The rest of an oversized error body is dropped.
    if (this.#held.length + chunk.length <= heldBytesMax) this.#held.append(chunk);
    return true;
  }

  /** Why the stream is no answer; null: it is one, as far as is known. */
  get fault(): Error | null {
    return this.#splices ? this.#splice!.fault : null;
  }

  /**
   * The engine's answer broke off. If another one may go on, the client is not told yet, and the stream is kept open.
   * @returns the tokens of this engine that the client has as text; null: the answer has to end
   */
  interrupt(): number | null {
    if (!this.#splices || !this.#streamsEvents || this.#exchange.response.writableEnded) return null;
    this.#stage = 'alive';
    return this.#splice!.interrupt();
  }

  /** Writes comments until another engine goes on, so that the pause does not count as an idle stream. */
  keepOpen(): void {
    this.#comment = nextComment;
    this.#keepAlive();
  }

  /** Ends a stream whose text is complete. @param events what the engine owes */
  complete(events: Buffer): void {
    this.#stopTimer();
    this.#passOn(events);
    this.#frames!.end(this.#filter?.end());
  }

  /** Sends the buffered part of an incomplete event: its end will not come. */
  flushEvent(): void {
    if (this.#splice !== null) this.#passOn(this.#splice.flush());
    if (this.#filter !== null) this.#pass(this.#filter.end());
  }

  end(): void {
    this.flushEvent();
    const { path } = this.#exchange;
    this.#frames!.end(this.#translates ? errorEvent(path, engineError(this.#held.take().toString('utf8'))) : null);
  }

  /** Discards what a given-up engine sent; another one may be tried. */
  drop(): void {
    this.#head = null;
    this.#filter?.end();
    this.#filter = null;
    this.#held.clear();
  }

  /** Ends an opened answer: a stream gets an error event, anything else is broken off. */
  cut(error: RequestError): void {
    const { response } = this.#exchange;
    this.#stopTimer();
    if (response.writableEnded) return;
    // A client that is not reading would see the event only after all its unread data.
    if (!this.#streamsEvents || this.#frames!.needsDrain) {
      response.destroy();
      return;
    }
    const hasFault = this.#splice?.toldError === true;
    try {
      this.flushEvent();
    } finally {
      const { path } = this.#exchange;
      // An engine that reports an error has sent an event of its own.
      this.#frames!.end(hasFault ? null : errorEvent(path, errorBody(path, error)));
    }
  }

  /**
   * Reports that no engine is left to try.
   * @returns false if nothing has been sent, so the error can have its own status
   */
  fail(error: RequestError): boolean {
    if (this.#stage === 'held') return false;
    this.cut(error);
    return true;
  }

  close(): void {
    this.#stopTimer();
  }

  #passOn(bytes: Buffer): boolean {
    return this.#pass(this.#filter === null ? bytes : this.#filter.push(bytes));
  }

  #pass(bytes: Buffer): boolean {
    return this.#frames!.write(bytes);
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
        ...(this.#splice !== null && { 'x-kvoyant-continue': 'yes' }),
      });
      this.#frames = new AnswerFrames(response);
    }
    if (!this.#frames!.needsDrain) this.#pass(this.#comment);
    this.#timer = setTimeout(() => this.#keepAlive(), commentIntervalMs);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/**
 * Runs the work that produces the answer. An error thrown after the answer was opened is reported inside it.
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

/** `unreadable-stream`: a content encoding hides the events, although none was accepted. */
export type AnswerForm = 'whole' | 'stream' | 'unreadable-stream';

export function formOf(headers: IncomingHttpHeaders): AnswerForm {
  if (!isEventStream(headers)) return 'whole';
  const encoding = headers['content-encoding'] ?? 'identity';
  return encoding === 'identity' ? 'stream' : 'unreadable-stream';
}

function withoutLength({ 'content-length': _, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  return headers;
}

/** Adds `Retry-After` where a full engine did not send it. */
function retryHeaders(status: number, headers: IncomingHttpHeaders): string[] {
  const isFull = status === 429 || status === 503;
  return isFull && headers['retry-after'] === undefined ? ['retry-after', String(fullRetryAfterS)] : [];
}

/** The engine's own error body if it sent one, else a generic error. */
function engineError(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'error' in value) return value;
  } catch {
    // Truncated or not JSON: the generic error follows.
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
