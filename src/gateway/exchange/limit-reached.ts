// The error for a request that would exceed a limit; names the limit for the metrics.

import { RequestError } from '../../wire/openai-error.ts';

export class LimitReached extends RequestError {
  /** Name of the setting. */
  readonly limit: string;

  constructor(
    limit: string,
    status: number,
    code: string,
    message: string,
    retryAfterS: number | null = null,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(status, code, message, null, retryAfterS, headers);
    this.limit = limit;
  }
}
