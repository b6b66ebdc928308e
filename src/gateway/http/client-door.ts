// Handles a request at the clients' port: access, routing, limits, errors and metrics.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { RequestTrace } from '../exchange/request-trace.ts';
import { answerInference } from '../inference/inference.ts';
import { unknownModel } from '../telemetry/gateway-metrics.ts';
import { type EndedRequest, requestLine } from '../telemetry/request-log.ts';
import { answerModel, answerModels } from './admin-routes.ts';
import { clientRoute, isClientPath } from './client-routes.ts';
import { answerPreflight, foreignOrigin, markForOrigin } from './cross-origin.ts';
import type { GatewayContext } from './gateway-context.ts';
import { fail } from './http-failure.ts';
import { answerOperator, isOperatorPath } from './operator-routes.ts';
import { passThrough } from './passthrough.ts';
import { forMethod, notFound } from './route-table.ts';
import { isSelectionPath, serveSelection } from './selection-door.ts';
import { answerStoredResponse } from './stored-responses.ts';
import { invite, withBody } from './with-body.ts';
import { withExchange } from './with-exchange.ts';

export function handleClient(
  context: GatewayContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  return withExchange(context, request, response, async (exchange) => {
    const { path } = exchange;
    if (context.selection !== null && isSelectionPath(path)) {
      return serveSelection(context, context.selection, exchange, path);
    }
    if (isClientPath(path) && !isOperatorPath(path)) {
      if (!context.relays) throw notRelayed(path);
      return serveClient(context, exchange, path);
    }
    if (!isOperatorPath(path)) throw notFound(path);
    context.access.admitOperatorAmongClients(exchange);
    context.slots.letIn(request);
    invite(exchange);
    await answerOperator(context, exchange, path);
  });
}

function notRelayed(path: string): RequestError {
  return new RequestError(404, 'not_relayed', `kvoyant select relays nothing: ${path} is a route of kvoyant serve`);
}

async function serveClient(context: GatewayContext, exchange: Exchange, path: string): Promise<void> {
  const { config, access, slots, keyLimits } = context;
  const allowed = markForOrigin(exchange, config.corsOrigins);
  if (answerPreflight(exchange, allowed)) return;
  try {
    // An API key is proof enough. Without keys, any page in a browser on this machine could send requests.
    if (!allowed && !access.needsKey) throw foreignOrigin();
    access.admitClient(exchange);
    slots.letIn(exchange.request);
    exchange.trace = beginTrace(context, exchange, path);
    await keyLimits.within(exchange.key, config, performance.now(), (use) => {
      exchange.use = use;
      return withBody(context, exchange, () => answer(context, exchange, path));
    });
  } catch (error) {
    fail(context, exchange, error);
  }
  try {
    const status = statusOf(exchange);
    account(context, exchange, status);
    exchange.trace?.ended(status, exchange.limit);
  } catch (error) {
    // The client already has its answer.
    context.log.error({ requestId: exchange.id, err: error }, 'request missing from metrics and log');
  }
}

/** Requests that reach engines are traced, if a collector is configured. */
function beginTrace({ tracing }: GatewayContext, exchange: Exchange, path: string): RequestTrace | null {
  if (tracing === null) return null;
  const { id, startedMs, key } = exchange;
  const { method = 'GET' } = exchange.request;
  const kind = clientRoute(path)?.[method]?.kind;
  if (kind !== 'inference' && kind !== 'pass') return null;
  const [traceparent, tracestate] = [exchange.header('traceparent'), exchange.header('tracestate')];
  return tracing.begin({ id, startedMs, path, method, key: key?.name ?? null, traceparent, tracestate });
}

function answer(context: GatewayContext, exchange: Exchange, path: string): void | Promise<void> {
  const methods = clientRoute(path);
  if (methods === null) throw notFound(path);
  const route = forMethod(methods, exchange.request.method ?? 'GET', path);
  switch (route.kind) {
    case 'inference':
      return answerInference(context, exchange, route.api);
    case 'pass':
      return passThrough(context, exchange, route);
    case 'stored-response':
      return answerStoredResponse(context, exchange, route.id);
    case 'models':
      return answerModels(context, exchange);
    case 'model':
      return answerModel(context, exchange, route.escapedId);
  }
}

/** As it counts in metrics and log: 499 if the client left, 503 or 504 if a limit ended the answer. */
export function statusOf({ response, gone, limit }: Exchange): number {
  return !gone ? response.statusCode : limit === null ? 499 : limit === 'shutdownGraceMs' ? 503 : 504;
}

/** Counts and logs a request of a client. */
export function account(
  { config, metrics, log }: Pick<GatewayContext, 'config' | 'metrics' | 'log'>,
  ended: EndedRequest,
  status: number,
): void {
  const { model } = ended;
  if (status === 499) metrics.aborted.inc();
  metrics.requests.inc({ model: model === null ? unknownModel : metrics.modelLabel(model), status: String(status) });
  const level = config.logRequests ? 'info' : 'debug';
  if (log.isLevelEnabled(level)) log[level](requestLine(ended, status, performance.now()), 'request');
}
