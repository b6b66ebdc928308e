// The HTTP door: which route answers a request, and how every failure reaches the client.

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { RequestError } from '../../wire/openai-error.ts';
import type { TlsIdentity } from '../config/referenced-files.ts';
import type { GatewayContext } from '../gateway-context.ts';
import { answerInference } from '../inference/inference.ts';
import { unknownModel } from '../telemetry/gateway-metrics.ts';
import { requestLine } from '../telemetry/request-log.ts';
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
import { receiveInSlices } from './connection-slices.ts';
import { Exchange } from './exchange.ts';
import { asRequestError, replyError } from './http-reply.ts';
import { LimitReached } from './key-limits.ts';
import { passThrough } from './passthrough.ts';
import { announcedBytes, bodyTooLarge } from './request-body.ts';
import { addWorker, answerWorkerAction, workersPrefix } from './worker-routes.ts';

/** Time for a client to send the head of its request. */
const headersMsMax = 60_000;
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
  ['/workers', { GET: answerWorkers, POST: addWorker }],
  ['/loads', { GET: answerLoads }],
  ['/decisions', { GET: answerDecisions }],
] satisfies [string, Record<string, Answer>][]);

/** Open to everyone, whatever keys are set; they cost next to nothing. */
const openPaths: ReadonlySet<string> = new Set(['/health', '/ready']);
const decisionsPrefix = '/decisions/';
const enginePrefix = '/v1/';

/** @param tls null: clients connect without TLS */
export function createGatewayServer(context: GatewayContext, tls: TlsIdentity | null): Server | TlsServer {
  const { headerBytesMax, requestMsMax, connectionsMax } = context.config;
  const options = {
    noDelay: true,
    keepAlive: true,
    requestTimeout: requestMsMax,
    headersTimeout: Math.min(headersMsMax, requestMsMax),
    connectionsCheckingInterval: Math.min(30_000, Math.ceil(requestMsMax / 4)),
    maxHeaderSize: headerBytesMax,
  };
  const server = tls === null ? createServer(options) : createTlsServer({ ...options, ...tls });
  server.keepAliveTimeout = idleConnectionMsMax;
  server.maxConnections = connectionsMax;
  receiveInSlices(server, context.acceptHold, () => performance.now());
  server.on('drop', () => context.metrics.limited.inc({ limit: 'connectionsMax' }));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseMalformed(context, error, socket));
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
  const path = pathOf(request);
  if (!path.startsWith(enginePrefix)) {
    try {
      if (!openPaths.has(path)) context.access.admitOperator(exchange);
      await answer(context, exchange, path);
    } catch (error) {
      fail(context, exchange, error);
    }
    return;
  }
  let release = (): void => undefined;
  try {
    context.access.admitClient(exchange);
    release = context.keyLimits.admit(exchange.key, context.config, performance.now());
    context.deadlines.watch(exchange);
    if (announcedBytes(request) > context.config.bodyBytesMax) throw bodyTooLarge(context.config.bodyBytesMax);
    await answer(context, exchange, path);
  } catch (error) {
    fail(context, exchange, error);
  } finally {
    release();
    context.deadlines.unwatch(exchange);
  }
  account(context, exchange);
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0]!;
}

function answer(context: GatewayContext, exchange: Exchange, path: string): void | Promise<void> {
  const { method = 'GET' } = exchange.request;
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
  if (path.startsWith(workersPrefix)) return answerWorkerAction(context, exchange, path.slice(workersPrefix.length));
  if (path.startsWith(enginePrefix)) return passThrough(context, exchange);
  throw new RequestError(404, 'not_found', `there is nothing at ${path}`);
}

function fail({ log, metrics }: GatewayContext, exchange: Exchange, cause: unknown): void {
  const { response } = exchange;
  const error = asRequestError(cause);
  if (error.status === 413) metrics.limited.inc({ limit: 'bodyBytesMax' });
  if (error instanceof LimitReached) metrics.limited.inc({ limit: error.limit });
  if (error !== cause) log.error({ requestId: exchange.id, err: cause }, 'request failed by a fault of the gateway');
  if (exchange.gone) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  replyError(response, error, { 'x-request-id': exchange.id });
}

function account({ config, metrics, log }: GatewayContext, exchange: Exchange): void {
  const { response, model, gone, limit } = exchange;
  const status = !gone ? response.statusCode : limit === null ? 499 : 504;
  if (status === 499) metrics.aborted.inc();
  metrics.requests.inc({ model: model === null ? unknownModel : metrics.modelLabel(model), status: String(status) });
  const level = config.logRequests ? 'info' : 'debug';
  if (log.isLevelEnabled(level)) log[level](requestLine(exchange, status, performance.now()), 'request');
}

/** What is no request at all, or not within the limits of one, gets the same envelope as every error. */
function refuseMalformed({ metrics }: GatewayContext, failure: NodeJS.ErrnoException, socket: Socket): void {
  if (failure.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const error = malformed(failure);
  if (error instanceof LimitReached) metrics.limited.inc({ limit: error.limit });
  const body = JSON.stringify(error.body());
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function malformed({ code }: NodeJS.ErrnoException): RequestError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new LimitReached('headerBytesMax', 431, 'headers_too_large', 'the headers exceed the limit');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new LimitReached('requestMsMax', 408, 'request_timeout', 'the request took too long to arrive');
    default:
      return new RequestError(400, 'malformed_request', 'this is no HTTP request that can be read');
  }
}
