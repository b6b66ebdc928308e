// Replies from the gateway itself.

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { errorBody } from '../../wire/error-form.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { hasBody } from './request-body.ts';

/** `Retry-After` when no worker is ready: the next probe may find one. */
const retryAfterS = 1;
/** How long the rest of a refused request is read. */
const unreadBodyMsMax = 1000;
/** Limit on the chunks read of a refused request: each costs time, however small. */
const unreadPiecesMax = 1024;

const kept = new WeakSet<Socket>();

/** Connections of fronts stay open after a refusal: closing one would break a write of its body, and lose the answer. */
export function keepAfterRefusals(socket: Socket): void {
  kept.add(socket);
}

export function replyJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  replyText(response, status, 'application/json', JSON.stringify(value), headers);
}

export function replyText(
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text);
  const { req: request } = response;
  const unread = !request.complete && hasBody(request) && !kept.has(request.socket);
  const ends: Record<string, string> = unread ? { connection: 'close' } : {};
  response.writeHead(status, { ...headers, ...ends, 'content-type': contentType, 'content-length': body.length });
  if (!unread) {
    response.end(body);
    return;
  }
  // Closing a connection with unread bytes resets it and loses the answer, so the rest of the request is read and
  // dropped.
  response.write(body);
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, unreadBodyMsMax);
  let pieces = 0;
  request.on('data', () => {
    pieces += 1;
    if (pieces === unreadPiecesMax) end();
  });
  request.once('end', end).once('close', end).resume();
}

export function replyError(
  response: ServerResponse,
  error: RequestError,
  headers: Readonly<Record<string, string>> = {},
): void {
  const afterS = error.retryAfterS ?? (error.status === 503 ? retryAfterS : null);
  const retry: Record<string, string> = afterS === null ? {} : { 'retry-after': String(afterS) };
  replyJson(response, error.status, errorBody(response.req.url ?? '/', error), {
    ...headers,
    ...error.headers,
    ...retry,
  });
}

/** Hides unexpected errors from the client. */
export function asRequestError(error: unknown): RequestError {
  return error instanceof RequestError
    ? error
    : new RequestError(500, 'internal_error', 'internal error of the gateway');
}
