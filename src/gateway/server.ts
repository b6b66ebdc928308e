// The HTTP door: which route answers a request, and how every failure reaches the client.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { RequestError } from '../wire/openai-error.ts';
import {
  answerDecisions,
  answerDecisionsOf,
  answerHealth,
  answerLoads,
  answerMetrics,
  answerModels,
  answerReady,
  answerWorkers,
} from './admin-routes.ts';
import { Exchange } from './exchange.ts';
import type { GatewayContext } from './gateway-context.ts';
import { unknownModel } from './gateway-metrics.ts';
import { asRequestError, replyError } from './http-reply.ts';
import { answerInference } from './inference.ts';
import { passThrough } from './passthrough.ts';
import { announcedBytes, bodyTooLarge } from './request-body.ts';

/** Time for a client to send its whole request; the answer may take as long as it takes. */
const requestMsMax = 300_000;
/** Longer than the idle time of the usual proxies in front, so that they close first. */
const idleConnectionMsMax = 75_000;

type Answer = (context: GatewayContext, exchange: Exchange) => void | Promise<void>;

const routes: ReadonlyMap<string, Readonly<Record<string, Answer>>> = new Map([
  ['/v1/chat/completions', { POST: (context, exchange) => answerInference(context, exchange, 'chat') }],
  ['/v1/completions', { POST: (context, exchange) => answerInference(context, exchange, 'completions') }],
  ['/v1/models', { GET: answerModels }],
  ['/health', { GET: answerHealth }],
  ['/ready', { GET: answerReady }],
  ['/metrics', { GET: answerMetrics }],
  ['/workers', { GET: answerWorkers }],
  ['/loads', { GET: answerLoads }],
  ['/decisions', { GET: answerDecisions }],
] satisfies [string, Record<string, Answer>][]);

const decisionsPrefix = '/decisions/';
const enginePrefix = '/v1/';

export function createGatewayServer(context: GatewayContext): Server {
  const server = createServer({ noDelay: true, keepAlive: true, requestTimeout: requestMsMax });
  server.keepAliveTimeout = idleConnectionMsMax;
  server.on('request', (request, response) => void handle(context, request, response));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // A body that is too large is refused before it is sent.
    if (announcedBytes(request) <= context.config.bodyBytesMax) response.writeContinue();
    void handle(context, request, response);
  });
  return server;
}

async function handle(context: GatewayContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const exchange = new Exchange(request, response);
  try {
    if (announcedBytes(request) > context.config.bodyBytesMax) throw bodyTooLarge(context.config.bodyBytesMax);
    await answer(context, exchange);
  } catch (error) {
    fail(context, exchange, error);
  }
  if (request.url?.startsWith(enginePrefix)) account(context, exchange);
}

function answer(context: GatewayContext, exchange: Exchange): void | Promise<void> {
  const { method = 'GET', url = '/' } = exchange.request;
  const path = url.split('?', 1)[0]!;
  const methods = routes.get(path);
  if (methods !== undefined) {
    const route = methods[method === 'HEAD' ? 'GET' : method];
    if (route !== undefined) return route(context, exchange);
    const allowed = Object.keys(methods).join(', ');
    throw new RequestError(405, 'method_not_allowed', `${path} takes ${allowed}, not ${method}`);
  }
  if (path.startsWith(decisionsPrefix) && method === 'GET') {
    return answerDecisionsOf(context, exchange, path.slice(decisionsPrefix.length));
  }
  if (path.startsWith(enginePrefix)) return passThrough(context, exchange);
  throw new RequestError(404, 'not_found', `there is nothing at ${path}`);
}

function fail({ log }: GatewayContext, exchange: Exchange, cause: unknown): void {
  const { response } = exchange;
  const error = asRequestError(cause);
  if (error !== cause) log.error({ requestId: exchange.id, err: cause }, 'request failed by a fault of the gateway');
  if (exchange.gone) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  replyError(response, error, { 'x-request-id': exchange.id });
}

function account({ config, metrics, log }: GatewayContext, exchange: Exchange): void {
  const { id, request, response, model, gone, startedMs } = exchange;
  const status = gone ? 499 : response.statusCode;
  if (gone) metrics.aborted.inc();
  metrics.requests.inc({ model: model ?? unknownModel, status: String(status) });
  const level = config.logRequests ? 'info' : 'debug';
  if (!log.isLevelEnabled(level)) return;
  const durationMs = Math.round(performance.now() - startedMs);
  log[level]({ requestId: id, method: request.method, path: request.url, model, status, durationMs }, 'request');
}
