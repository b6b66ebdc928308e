// Cross-origin requests at the clients' port (CORS): refused unless a setting names the origin.

import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';

const preflightAgeS = 600;
const headerNamesLengthMax = 2048;
const headerNames = /^[\w-]+(?:\s*,\s*[\w-]+)*$/;
const exposed = 'x-request-id, x-kvoyant-worker, x-kvoyant-overlap-tokens, retry-after';

/**
 * Adds the CORS headers if the page's origin is allowed. Browser credentials (cookies) are never allowed: a page has to
 * send a key.
 * @param origins as in `corsOrigins`
 * @returns false if the request comes from a page whose origin is not allowed
 */
export function markForOrigin({ request, response }: Exchange, origins: readonly string[]): boolean {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'] ?? 'none';
  if (origin === undefined) return site === 'none' || site === 'same-origin';
  if (!origins.includes('*') && !origins.includes(origin)) return origin === `${schemeOf(request.socket)}//${host}`;
  response.setHeader('access-control-allow-origin', origins.includes('*') ? '*' : origin);
  response.setHeader('access-control-expose-headers', exposed);
  if (!origins.includes('*')) response.setHeader('vary', 'origin');
  return true;
}

/** Answers a CORS preflight request. @returns whether the request was one */
export function answerPreflight({ request, response }: Exchange, allowed: boolean): boolean {
  if (request.method !== 'OPTIONS' || request.headers.origin === undefined) return false;
  if (request.headers['access-control-request-method'] === undefined) return false;
  const asked = request.headers['access-control-request-headers'];
  if (allowed && response.hasHeader('access-control-allow-origin')) {
    response.setHeader('access-control-allow-methods', 'GET, POST');
    response.setHeader('access-control-max-age', preflightAgeS);
    if (typeof asked === 'string' && asked.length <= headerNamesLengthMax && headerNames.test(asked)) {
      response.setHeader('access-control-allow-headers', asked);
    }
  }
  response.writeHead(204).end();
  return true;
}

export function foreignOrigin(): RequestError {
  return new RequestError(
    403,
    'foreign_origin',
    'without API keys, pages of other origins may not send requests here: name the origin in corsOrigins, or set apiKeys',
  );
}

function schemeOf(socket: object): string {
  return 'encrypted' in socket ? 'https:' : 'http:';
}
