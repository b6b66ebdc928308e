// Errors as they cross between threads and processes of the gateway.

import { RequestError } from '../../wire/openai-error.ts';
import { LimitReached } from './limit-reached.ts';

/** An error as it crosses. `status` null: a fault of the gateway, or an error of a connection. */
export interface SentError {
  readonly message: string;
  readonly status: number | null;
  readonly code: string | null;
  readonly param: string | null;
  readonly retryAfterS: number | null;
  /** The limit that was reached; null: none. */
  readonly limit: string | null;
  /** That say how much is left of limits. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A fault of the gateway, or an error of a connection, on the other side. */
export class RemoteFault extends Error {
  readonly code: string | null;

  constructor(message: string, code: string | null) {
    super(message);
    this.code = code;
  }
}

export function sentError(error: unknown): SentError {
  const nothing = { param: null, retryAfterS: null, limit: null, headers: {} };
  if (error instanceof RequestError) {
    const { message, status, code, param, retryAfterS, headers } = error;
    const { limit } = error instanceof LimitReached ? error : nothing;
    return { message, status, code, param, retryAfterS, limit, headers };
  }
  if (!(error instanceof Error)) return { ...nothing, message: String(error), status: null, code: null };
  const { code } = error as NodeJS.ErrnoException;
  return { ...nothing, message: error.message, status: null, code: typeof code === 'string' ? code : null };
}

export function errorOf({ message, status, code, param, retryAfterS, limit, headers }: SentError): Error {
  if (status === null) return new RemoteFault(message, code);
  if (limit !== null) return new LimitReached(limit, status, code!, message, retryAfterS, headers);
  return new RequestError(status, code!, message, param, retryAfterS, headers);
}
