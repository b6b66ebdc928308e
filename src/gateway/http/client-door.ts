// Handles a request at the clients' port: access, routing, limits, errors and metrics.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Exchange } from '../exchange/exchange.ts';
import { announcedBytes, bodyTooLarge } from '../exchange/request-body.ts';
import { answerInference } from '../inference/inference.ts';
import { unknownModel } from '../telemetry/gateway-metrics.ts';
import { requestLine } from '../telemetry/request-log.ts';
import { answerModel, answerModels } from './admin-routes.ts';
import { clientRoute, isClientPath } from './client-routes.ts';
import { answerPreflight, foreignOrigin, markForOrigin } from './cross-origin.ts';
import type { GatewayContext } from './gateway-context.ts';
import { fail } from './http-failure.ts';
import { answerOperator, isOperatorPath, openRoute } from './operator-routes.ts';
import { passThrough } from './passthrough.ts';
import { readPath } from './request-path.ts';
import { forMethod, notFound } from './route-table.ts';

export async function handleClient(
  context: GatewayContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = new Exchange(request, response);
  context.deadlines.watch(exchange);
  try {
    const { path, query } = readPath(request.url ?? '/');
    exchange.path = path;
    exchange.query = query;
    if (isClientPath(path)) return await serveClient(context, exchange, path);
    const open = openRoute(path);
    if (open !== null) return await forMethod(open, request.method ?? 'GET', path)(context, exchange);
    if (!isOperatorPath(path)) throw notFound(path);
    context.access.admitOperatorAmongClients(exchange);
    context.slots.letIn(request);
    invite(exchange);
    await answerOperator(context, exchange, path);
  } catch (error) {
    fail(context, exchange, error);
  }
}

async function serveClient(context: GatewayContext, exchange: Exchange, path: string): Promise<void> {
  let release = (): void => undefined;
  try {
    const allowed = markForOrigin(exchange, context.config.corsOrigins);
    if (answerPreflight(exchange, allowed)) return;
    // An API key is proof enough. Without keys, any page in a browser on this machine could send requests.
    if (!allowed && !context.access.needsKey) throw foreignOrigin();
    context.access.admitClient(exchange);
    context.slots.letIn(exchange.request);
    release = context.keyLimits.admit(exchange.key, context.config, performance.now());
    exchange.lease = context.bodyBudget.lease();
    if (announcedBytes(exchange.request) > context.config.bodyBytesMax) throw bodyTooLarge(context.config.bodyBytesMax);
    invite(exchange);
    await answer(context, exchange, path);
  } catch (error) {
    fail(context, exchange, error);
  } finally {
    exchange.lease?.release();
    release();
  }
  try {
    account(context, exchange);
  } catch (error) {
    // The client already has its answer.
    context.log.error({ requestId: exchange.id, err: error }, 'request missing from metrics and log');
  }
}

/** Answers `Expect: 100-continue`: the client may send its body. */
function invite({ request, response }: Exchange): void {
  if (request.httpVersion === '1.1' && /\b100-continue\b/i.test(request.headers.expect ?? '')) response.writeContinue();
}

function answer(context: GatewayContext, exchange: Exchange, path: string): void | Promise<void> {
  const methods = clientRoute(path);
  if (methods === null) throw notFound(path);
  const route = forMethod(methods, exchange.request.method ?? 'GET', path);
  switch (route.kind) {
    case 'inference':
      return answerInference(context, exchange, route.api);
    case 'pass':
      return passThrough(context, exchange, route.readModel);
    case 'models':
      return answerModels(context, exchange);
    case 'model':
      return answerModel(context, exchange, route.escapedId);
  }
}

function account({ config, metrics, log }: GatewayContext, exchange: Exchange): void {
  const { response, model, gone, limit } = exchange;
  const status = !gone ? response.statusCode : limit === null ? 499 : limit === 'shutdownGraceMs' ? 503 : 504;
  if (status === 499) metrics.aborted.inc();
  metrics.requests.inc({ model: model === null ? unknownModel : metrics.modelLabel(model), status: String(status) });
  const level = config.logRequests ? 'info' : 'debug';
  if (log.isLevelEnabled(level)) log[level](requestLine(exchange, status, performance.now()), 'request');
}
