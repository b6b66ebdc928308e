// Reports a failed request to its client, and to the log if the gateway is at fault.

import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Exchange } from '../exchange/exchange.ts';
import { asRequestError, replyError } from '../exchange/http-reply.ts';
import { LimitReached } from '../exchange/limit-reached.ts';

/** Where failures are counted and logged. */
export interface FailureNotes {
  readonly log: Logger;
  readonly metrics: { readonly limited: { inc(labels: { readonly limit: string }): void } };
}

export function fail({ log, metrics }: FailureNotes, exchange: Exchange, cause: unknown): void {
  const { response } = exchange;
  const error = asRequestError(cause);
  if (error instanceof LimitReached) metrics.limited.inc({ limit: error.limit });
  else if (error.status === 413) metrics.limited.inc({ limit: 'bodyBytesMax' });
  if (error !== cause) log.error({ requestId: exchange.id, err: cause }, 'request failed by a fault of the gateway');
  if (exchange.gone) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  replyError(response, error, { 'x-request-id': exchange.id });
}

/** Catches what a handler rejects with, even errors of logging: nothing may end the process. */
export function take(handling: Promise<void>, response: ServerResponse): void {
  handling.catch(() => response.destroy());
}
