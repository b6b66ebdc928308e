// Common handling of every request at both listeners: deadlines, path, open routes, and answers to errors.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Exchange } from '../exchange/exchange.ts';
import type { GatewayContext } from './gateway-context.ts';
import { fail } from './http-failure.ts';
import { openRoute } from './operator-routes.ts';
import { readPath } from './request-path.ts';
import { forMethod } from './route-table.ts';

/** @param answer handles routes that are not open; an error that it throws or rejects with becomes the answer */
export async function withExchange(
  context: GatewayContext,
  request: IncomingMessage,
  response: ServerResponse,
  answer: (exchange: Exchange) => Promise<void>,
): Promise<void> {
  const exchange = new Exchange(request, response);
  context.deadlines.watch(exchange);
  try {
    const { path, query } = readPath(request.url ?? '/');
    exchange.path = path;
    exchange.query = query;
    const open = openRoute(path);
    if (open !== null) await forMethod(open, request.method ?? 'GET', path)(context, exchange);
    else await answer(exchange);
  } catch (error) {
    fail(context, exchange, error);
  }
}
