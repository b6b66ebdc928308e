// Errors as they cross between a front and the owner.

import { RequestError } from '../../wire/openai-error.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { RelayOutcome } from '../inference/attempt-outcome.ts';
import type { SentError, SentOutcome } from './front-messages.ts';

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

export function sentOutcome(outcome: RelayOutcome): SentOutcome {
  return 'error' in outcome ? { ...outcome, error: sentError(outcome.error) } : outcome;
}

export function outcomeOf(outcome: SentOutcome): RelayOutcome {
  return 'error' in outcome ? { ...outcome, error: errorOf(outcome.error) } : outcome;
}
