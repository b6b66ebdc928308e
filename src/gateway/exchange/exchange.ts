// One request of a client and the answer it waits for: identity, clock, and whether the client is still there.

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import type { ApiKey } from '../config/api-keys.ts';
import type { AttemptRecord } from './attempt-record.ts';
import type { BodyLease } from './body-budget.ts';

/** A client's own request id is kept if it has only visible ASCII characters and is no longer than this. */
const requestIdLengthMax = 256;

export interface RelayedAnswer {
  /** Ends the answer where it is, and says why as far as it still can. @returns false if nothing of it has been sent */
  fail(error: RequestError): boolean;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** By the monotonic clock of `performance.now()`. */
  readonly startedMs: number;
  /** Whose request it is; null: no key was needed. */
  key: ApiKey | null = null;
  /** Of the memory that the request takes; null: nobody counts it. */
  lease: BodyLease | null = null;
  /** In its normal form. */
  path = '/';
  /** With the question mark, or empty. */
  query = '';
  /** Of the newest attempt of an inference request. */
  record: AttemptRecord | null = null;
  /** Who passes an engine's answer on; null: the gateway answers itself. */
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
    // A write that meets a broken connection is an error, and then a close; both mean that the client is gone.
    response.on('error', () => this.#lost());
    response.on('close', () => this.#lost());
  }

  /** The client closed the connection before it had the whole answer. */
  get gone(): boolean {
    return this.#gone;
  }

  /** The model it asks for, once known to be served. */
  get model(): string | null {
    return this.#model;
  }

  /** @throws RequestError 403 if the client's key does not open the model, which some worker serves */
  asksFor(model: string): void {
    this.#model = model;
    const { key } = this;
    if (key === null || key.models === null || key.models.includes(model)) return;
    throw new RequestError(
      403,
      'model_not_allowed',
      `the key ${key.name} does not open the model ${JSON.stringify(model)}`,
      'model',
    );
  }

  /** @throws RequestError 400 if it names no model and the key does not open all: what the engine would take is not known */
  mustName(model: string | null): void {
    if (model !== null || this.key === null || this.key.models === null) return;
    const message = `the key ${this.key.name} is for certain models: the request must name one`;
    throw new RequestError(400, 'missing_model', message, 'model');
  }

  /** The limit that has ended it, or null. */
  get limit(): string | null {
    return this.#limit;
  }

  /** Whoever works on it hears that the client is gone, and leaves the response alone. @param limit the one it exceeds */
  abandon(limit: string): void {
    if (this.#gone) return;
    this.#limit = limit;
    this.#leave();
  }

  /** Calls back once, as soon as the client is gone; the newest callback replaces the one before. */
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

function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && given.length <= requestIdLengthMax && /^[\x21-\x7e]+$/.test(given)
    ? given
    : randomUUID();
}
