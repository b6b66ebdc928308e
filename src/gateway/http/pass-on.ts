// Passes a request on to an engine and the answer back, both unread and without a booking.

import type { Engine } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { requestHeaders } from '../exchange/forwarded-headers.ts';
import type { RelayOutcome } from '../inference/attempt-outcome.ts';
import type { ClientAnswer } from '../inference/client-answer.ts';
import { pass, type RelayWatch, relay } from '../inference/relay.ts';

/** Looks at nothing: whatever the engine answers is the answer. */
export const passAll: RelayWatch = {
  head: () => pass,
  data: () => pass,
  end: () => null,
  mayMove: () => false,
  settled: () => undefined,
};

export interface PassedOn {
  readonly engine: Engine;
  readonly body: Buffer;
  readonly watch: RelayWatch;
  /** Names and values of headers that the client gets besides the engine's. */
  readonly answerHeaders: readonly string[];
}

export async function passOn(
  exchange: Exchange,
  answer: ClientAnswer,
  { engine, body, watch, answerHeaders }: PassedOn,
): Promise<RelayOutcome> {
  const { method, rawHeaders } = exchange.request;
  const headers = requestHeaders(rawHeaders, engine.spec.apiKey ?? null, exchange.trace?.headers ?? null);
  headers.push('x-request-id', exchange.id);
  const target = {
    engine,
    stream: false,
    // The answer to HEAD has no body, whatever the engine sends.
    method: method === 'HEAD' ? 'GET' : method!,
    path: exchange.path + exchange.query,
    headers,
    body: body.length === 0 ? null : body,
    extraHeaders: ['x-request-id', exchange.id, 'x-kvoyant-worker', engine.clientId, ...answerHeaders],
  };
  const leave = engine.enter();
  try {
    return await relay(exchange, answer, target, watch);
  } finally {
    leave();
  }
}
