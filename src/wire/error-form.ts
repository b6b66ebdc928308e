// Errors in the words of the API that a client speaks: OpenAI's, or Anthropic's on its routes.

import type { RequestError } from './openai-error.ts';

/** By status; 5xx is `api_error`. */
const anthropicTypes: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
]);

/** @param path of the request, with or without its query */
export function errorBody(path: string, error: RequestError): object {
  const body = error.body();
  if (!isAnthropic(path)) return body;
  const type = anthropicTypes.get(error.status) ?? (error.status >= 500 ? 'api_error' : 'invalid_request_error');
  return { type: 'error', error: { ...body.error, type } };
}

/** An error as an event of a stream. The leading blank line ends an event that was sent in part. */
export function errorEvent(path: string, body: object): Buffer {
  const name = isAnthropic(path) ? 'event: error\n' : '';
  return Buffer.from(`\n\n${name}data: ${JSON.stringify(body)}\n\n`);
}

function isAnthropic(path: string): boolean {
  return /^\/v1\/messages(?:[/?]|$)/.test(path);
}
