// The listener of clients: its limits, and what becomes of what is no request.

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { RequestError } from '../../wire/openai-error.ts';
import type { TlsIdentity } from '../config/referenced-files.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { handleClient } from './client-door.ts';
import { receiveInSlices } from './connection-slices.ts';
import type { GatewayContext } from './gateway-context.ts';
import { take } from './http-failure.ts';

/** Time for a client to end the TLS handshake. */
const handshakeMsMax = 10_000;
/** How long a client that is told what is wrong with its request may take to close the connection. */
const lingerMsMax = 1000;
/** Between two looks for requests that have taken too long to arrive. */
const requestCheckMs = 5000;
/** Time for a client to send the head of its request. */
const headersMsMax = 60_000;
/** Longer than the idle time of the usual proxies in front, so that they close first. */
const idleConnectionMsMax = 75_000;

/** @param tls null: clients connect without TLS */
export function createGatewayServer(context: GatewayContext, tls: TlsIdentity | null): Server | TlsServer {
  const { headerBytesMax, requestMsMax } = context.config;
  const { slots } = context;
  const options = {
    noDelay: true,
    keepAlive: true,
    requestTimeout: requestMsMax,
    headersTimeout: Math.min(headersMsMax, requestMsMax),
    connectionsCheckingInterval: Math.min(requestCheckMs, Math.ceil(requestMsMax / 4)),
    maxHeaderSize: headerBytesMax,
  };
  const server =
    tls === null
      ? createServer(options)
      : createTlsServer({ ...options, ...tls, handshakeTimeout: Math.min(handshakeMsMax, requestMsMax) });
  server.keepAliveTimeout = idleConnectionMsMax;
  receiveInSlices(
    server,
    context.acceptHold,
    () => performance.now(),
    (socket) => slots.admit(socket),
  );
  // Before Node tells of it as a `clientError`: nothing can be said to a client without a handshake.
  server.prependListener('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') context.metrics.limited.inc({ limit: 'handshakeMsMax' });
    socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseMalformed(context, error, socket));
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    slots.answerInTurn(request, response, () => take(handleClient(context, request, response), response));
  };
  // A client that waits with its body is invited to send it once the request is let in.
  server.on('request', handle).on('checkContinue', handle);
  return server;
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
  // A client that does not close its side keeps the connection half open for ever.
  const timer = setTimeout(() => socket.destroy(), lingerMsMax);
  socket.once('close', () => clearTimeout(timer));
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
