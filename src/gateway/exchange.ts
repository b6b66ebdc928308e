// One request of a client and the answer it waits for: identity, clock, and whether the client is still there.

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A client's own request id is kept if it has only visible ASCII characters and is no longer than this. */
const requestIdLengthMax = 256;

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** By the monotonic clock of `performance.now()`. */
  readonly startedMs: number;
  /** The model it asks for, once known to be served. */
  model: string | null = null;
  #gone = false;
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
    if (this.#gone || this.response.writableFinished) return;
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
