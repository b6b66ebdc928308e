// Selects the headers that are forwarded to engines and back to clients.

import type { IncomingHttpHeaders } from 'node:http';

/** Hop-by-hop headers (RFC 9110, 7.6.1). */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The gateway sets these itself. It omits `accept-encoding` so that it can read the stream. */
const replacedInRequests: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'accept-encoding',
  'x-request-id',
  'x-data-parallel-rank',
]);

const ownPrefix = 'x-kvoyant-';

/** SLO headers in llm-d's spelling. They are meant for the router, so engines don't get them. */
const llmdSlo = /^x-(?:llm-d-)?slo-(?:ttft|tpot)-ms$/;

/** These reveal the engine's own address. */
const withheldFromClients: ReadonlySet<string> = new Set(['location', 'content-location', 'refresh', 'alt-svc']);

/**
 * Headers for the engine, as alternating names and values, without request ids. Replaces the client's key by the
 * engine's.
 * @param traceHeaders replace the client's `traceparent` and `tracestate`; null: the client's are passed on
 */
export function requestHeaders(
  rawHeaders: readonly string[],
  engineApiKey: string | null,
  traceHeaders: readonly string[] | null = null,
): string[] {
  const named = connectionTokens(rawHeaders);
  const headers: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (hopByHop.has(name) || replacedInRequests.has(name) || name.startsWith(ownPrefix) || named.has(name)) continue;
    if (llmdSlo.test(name)) continue;
    if (traceHeaders !== null && (name === 'traceparent' || name === 'tracestate')) continue;
    if ((name === 'authorization' || name === 'x-api-key') && engineApiKey !== null) continue;
    headers.push(name, rawHeaders[i + 1]!);
  }
  if (engineApiKey !== null) headers.push('authorization', `Bearer ${engineApiKey}`);
  if (traceHeaders !== null) headers.push(...traceHeaders);
  return headers;
}

/**
 * Headers of an engine's response for the client, in the same form.
 * @param own names and values of the gateway's, which replace the engine's
 */
export function responseHeaders(headers: IncomingHttpHeaders, own: readonly string[] = []): string[] {
  const passed: string[] = [];
  const named = headers.connection === undefined ? noNames : new Set(splitTokens(headers.connection));
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || hopByHop.has(name) || named.has(name)) continue;
    if (name === 'x-request-id' || name.startsWith(ownPrefix) || withheldFromClients.has(name)) continue;
    if (own.includes(name)) continue;
    // The gateway decides which origins may read an answer: engines often allow all.
    if (name.startsWith('access-control-')) continue;
    for (const single of typeof value === 'string' ? [value] : value) {
      const bytes = asSent(single);
      if (bytes !== null && headerName.test(name)) passed.push(name, bytes);
    }
  }
  return passed;
}

const noNames: ReadonlySet<string> = new Set<string>();
const headerName = /^[!#$%&'*+.^`|~\w-]+$/;
const refusedInValues = /[^\t\x20-\x7e\x80-\xff]/;

/** The value as Latin-1, one character per byte, as Node writes it; null if Node would refuse to write it. */
function asSent(value: string): string | null {
  const bytes = /[\u0100-\uffff]/.test(value) ? Buffer.from(value, 'utf8').toString('latin1') : value;
  return refusedInValues.test(bytes) ? null : bytes;
}

function connectionTokens(rawHeaders: readonly string[]): Set<string> {
  const tokens = new Set<string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() !== 'connection') continue;
    for (const token of splitTokens(rawHeaders[i + 1]!)) tokens.add(token);
  }
  return tokens;
}

function splitTokens(value: string): string[] {
  return value
    .toLowerCase()
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== '');
}
