// One client request and its answer: identity, start time, and whether the client is still connected.

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import type { ApiKey } from '../config/api-keys.ts';
import type { ClientKey } from '../config/tenants.ts';
import type { AttemptRecord } from './attempt-record.ts';
import type { BodyLease } from './body-budget.ts';
import type { ClientUse } from './client-use.ts';
import type { RequestTrace } from './request-trace.ts';

/** A client's request id is kept if it is visible ASCII and at most this long. */
const requestIdLengthMax = 256;

export interface RelayedAnswer {
  /**
   * Ends the answer with the error, as far as it can still be reported.
   * @returns false if nothing of the answer has been sent
   */
  fail(error: RequestError): boolean;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** As of `performance.now()`. */
  readonly startedMs: number;
  /** The client's API key; null if none was needed. */
  key: ClientKey | null = null;
  /** Its use of the client's limits; null before its admission. */
  use: ClientUse | null = null;
  /** Lease on the body budget; null if the request is not counted. */
  lease: BodyLease | null = null;
  /** Normalized. */
  path = '/';
  /** With the question mark, or empty. */
  query = '';
  /** The latest attempt of an inference request. */
  record: AttemptRecord | null = null;
  /** Null: it is not traced. */
  trace: RequestTrace | null = null;
  /** The relay of an engine's answer; null if the gateway answers itself. */
  answer: RelayedAnswer | null = null;
  #model: string | null = null;
  #gone = false;
  #limit: string | null = null;
  #onGone: (() => void) | null = null;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.id = requestId(request);
    this.startedMs = performance.now();
    // Writing to a broken connection emits `error` and then `close`; both mean that the client is gone.
    response.on('error', () => this.#lost());
    response.on('close', () => this.#lost());
  }

  /** The client closed the connection before it had the whole answer. */
  get gone(): boolean {
    return this.#gone;
  }

  /** The requested model, set once it is known to be served. */
  get model(): string | null {
    return this.#model;
  }

  /** Records the model. @throws RequestError 403 if the client's key does not allow it */
  asksFor(model: string): void {
    this.#model = model;
    mustAllow(this.key, model);
  }

  /**
   * @throws RequestError 400 if the request names no model but the key is limited to some: the engine's choice is
   * unknown
   */
  mustName(model: string | null): void {
    mustName(this.key, model);
  }

  /** The limit that ended the request, or null. */
  get limit(): string | null {
    return this.#limit;
  }

  /** Ends the request as if the client had gone; the caller answers. @param limit the limit that was exceeded */
  abandon(limit: string): void {
    if (this.#gone) return;
    this.#limit = limit;
    this.#leave();
  }

  /** Calls back once, when the client is gone. A new callback replaces the previous one. */
  whenGone(callback: () => void): void {
    if (this.#gone) callback();
    else this.#onGone = callback;
  }

  header(name: string): string | null {
    const value = this.request.headers[name];
    return typeof value === 'string' ? value : null;
  }

  #lost(): void {
    if (!this.#gone && !this.response.writableFinished) this.#leave();
  }

  #leave(): void {
    this.#gone = true;
    this.#onGone?.();
  }
}

/** @param key null: none was needed @throws RequestError 403 if the key does not allow the model */
export function mustAllow(key: ApiKey | null, model: string): void {
  if (key === null || key.models === null || key.models.includes(model)) return;
  const message = `the key ${key.name} does not allow the model ${JSON.stringify(model)}`;
  throw new RequestError(403, 'model_not_allowed', message, 'model');
}

/** @throws RequestError 400 if a request with this key must name a model, and does not */
export function mustName(key: ApiKey | null, model: string | null): void {
  if (model !== null || key === null || key.models === null) return;
  const message = `the key ${key.name} is limited to certain models: the request must name one`;
  throw new RequestError(400, 'missing_model', message, 'model');
}

/** The part of an exchange that choosing a worker and booking need. */
export type Requester = Pick<Exchange, 'id' | 'startedMs' | 'gone' | 'whenGone' | 'record' | 'trace' | 'use'>;

function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && given.length <= requestIdLengthMax && /^[\x21-\x7e]+$/.test(given)
    ? given
    : randomUUID();
}
