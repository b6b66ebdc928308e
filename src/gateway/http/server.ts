// The clients' listener: its limits, and the answer to malformed requests.

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { RequestError } from '../../wire/openai-error.ts';
import type { ListenerTls } from '../config/pem-files.ts';
import { replyError } from '../exchange/http-reply.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { receiveInSlices } from './connection-slices.ts';
import type { GatewayContext } from './gateway-context.ts';
import { type FailureNotes, take } from './http-failure.ts';

/** Time for a client to complete the TLS handshake. */
const handshakeMsMax = 10_000;
/** Time for a client to close the connection after its malformed request was refused. */
const lingerMsMax = 1000;
/** Interval between checks for requests that take too long to arrive. */
const requestCheckMs = 5000;
/** Time for a client to send its request headers. */
const headersMsMax = 60_000;
/** Longer than the idle timeout of common proxies, so that they close first. */
const idleConnectionMsMax = 75_000;

/** What the listener of clients needs of a gateway. */
export type ListenerContext = Pick<GatewayContext, 'config' | 'slots' | 'acceptHold' | 'access'> &
  Pick<FailureNotes, 'metrics'>;

/** @param tls null if clients connect without TLS @param serve answers one request */
export function createGatewayServer(
  context: ListenerContext,
  tls: ListenerTls | null,
  serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Server | TlsServer {
  const { headerBytesMax, requestMsMax, clientCertRequired } = context.config;
  const { slots, access } = context;
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
      : createTlsServer({
          ...{ ...options, ...tls, handshakeTimeout: Math.min(handshakeMsMax, requestMsMax) },
          ...(tls.ca !== undefined && { requestCert: true, rejectUnauthorized: clientCertRequired }),
        });
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    access.certificates.note(socket, slots.acceptedMs(socket));
  });
  server.keepAliveTimeout = idleConnectionMsMax;
  // They are limited in bytes. Node leaves out what exceeds a number: perhaps the length of the body, or a proxy's mark.
  server.maxHeadersCount = 0;
  receiveInSlices(
    server,
    context.acceptHold,
    () => performance.now(),
    (socket) => slots.admit(socket),
  );
  // Runs before Node emits `clientError`: without a handshake no answer can be sent.
  server.prependListener('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') context.metrics.limited.inc({ limit: 'handshakeMsMax' });
    socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseMalformed(context, error, socket));
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    slots.answerInTurn(request, response, () => take(serve(request, response), response));
  };
  // With `checkContinue` the client is asked for its body only after the request is admitted.
  server.on('request', handle).on('checkContinue', handle);
  // Node's own answer has no body.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    slots.answerInTurn(request, response, () => replyError(response, unmet()));
  });
  return server;
}

function unmet(): RequestError {
  return new RequestError(417, 'expectation_failed', 'expect may only be 100-continue', 'expect');
}

/** Malformed and oversized requests get the same error envelope as all others. */
function refuseMalformed({ metrics, slots }: ListenerContext, failure: NodeJS.ErrnoException, socket: Socket): void {
  // Reported once only.
  if (failure.code === 'ERR_HTTP_REQUEST_TIMEOUT' && slots.lasts(socket)) return;
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
  // A client that never closes its side would keep the connection half open.
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
      return new RequestError(400, 'malformed_request', 'this is not a valid HTTP request');
  }
}
