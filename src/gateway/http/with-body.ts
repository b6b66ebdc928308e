// Common handling of requests with bodies: their lease of memory, and the invitation to send them.

import type { Exchange } from '../exchange/exchange.ts';
import { announcedBytes, bodyTooLarge } from '../exchange/request-body.ts';
import type { GatewayContext } from './gateway-context.ts';

/** @param answer after it the lease is released @throws RequestError 413 if the announced body is too large */
export async function withBody(
  { config: { bodyBytesMax }, bodyBudget }: GatewayContext,
  exchange: Exchange,
  answer: () => void | Promise<void>,
): Promise<void> {
  const lease = bodyBudget.lease();
  exchange.lease = lease;
  try {
    if (announcedBytes(exchange.request) > bodyBytesMax) throw bodyTooLarge(bodyBytesMax);
    invite(exchange);
    await answer();
  } finally {
    lease.release();
  }
}

/** Answers `Expect: 100-continue`: the client may send its body. */
export function invite({ request, response }: Pick<Exchange, 'request' | 'response'>): void {
  if (request.httpVersion === '1.1' && /\b100-continue\b/i.test(request.headers.expect ?? '')) response.writeContinue();
}
