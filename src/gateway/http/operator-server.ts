// The operators' listener, separate from the clients' port and by default on loopback only.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { GatewayConfig } from '../config/config.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import { isLoopback, isThisMachine, unixPathOf } from '../config/listen-address.ts';
import type { ListenerTls } from '../config/pem-files.ts';
import { AcceptHold } from './accept-hold.ts';
import { receiveInSlices } from './connection-slices.ts';
import { ConnectionSlots } from './connection-slots.ts';
import type { GatewayContext } from './gateway-context.ts';
import { take } from './http-failure.ts';
import { answerOperator } from './operator-routes.ts';
import { answerBeforeLogin } from './page-routes.ts';
import { withExchange } from './with-exchange.ts';

const connectionsMax = 256;
/** Keeps one machine from taking all connections. */
const unprovenPerAddressMax = 128;
const requestMsMax = 30_000;
const portMax = 65_535;

/** @param nowMs a monotonic clock */
export function operatorConnections(
  { adminHost }: Pick<GatewayConfig, 'adminHost'>,
  nowMs: () => number,
): ConnectionSlots {
  const unix = unixPathOf(adminHost) !== null;
  const settings = { connectionsMax, unprovenPerAddressMax, unix, isTrusted: () => false };
  return new ConnectionSlots(
    () => settings,
    () => undefined,
    nowMs,
  );
}

/** @param slots of this listener's connections @param tls not used on loopback, where nobody can listen in */
export function createOperatorServer(
  context: GatewayContext,
  slots: ConnectionSlots,
  tls: ListenerTls | null,
): Server | TlsServer {
  const nowMs = (): number => performance.now();
  const options = {
    noDelay: true,
    requestTimeout: requestMsMax,
    headersTimeout: requestMsMax,
    connectionsCheckingInterval: requestMsMax / 4,
    maxHeaderSize: context.config.headerBytesMax,
  };
  const server =
    tls === null || isThisMachine(context.config.adminHost)
      ? createServer(options)
      : createTlsServer({
          ...{ ...options, ...tls, handshakeTimeout: requestMsMax },
          // Keys are enough without one.
          ...(tls.ca !== undefined && { requestCert: true, rejectUnauthorized: false }),
        });
  // As at the listener of clients.
  server.maxHeadersCount = 0;
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    context.access.certificates.note(socket, slots.acceptedMs(socket));
  });
  receiveInSlices(server, new AcceptHold(nowMs), nowMs, (socket) => slots.admit(socket));
  server.on('clientError', (_error, socket: Socket) => {
    if (socket.writable) socket.write('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
    socket.destroy();
  });
  // Node keeps a socket whose TLS handshake failed: close it.
  server.on('tlsClientError', (_error, socket: Socket) => socket.destroy());
  server.on('request', (request, response) => {
    slots.answerInTurn(request, response, () => take(handleOperator(context, slots, request, response), response));
  });
  return server;
}

function handleOperator(
  context: GatewayContext,
  slots: ConnectionSlots,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  return withExchange(context, request, response, async (exchange) => {
    if (await answerBeforeLogin(context, exchange)) return;
    context.access.admitOperator(exchange);
    slots.letIn(request);
    await answerOperator(context, exchange, exchange.path);
  });
}

/**
 * Port of the operators' listener. By default the first one above the clients' port that no local worker uses. Null if
 * there is no such listener.
 */
export function operatorPort(
  { port, adminPort }: Pick<GatewayConfig, 'port' | 'adminPort'>,
  workers: readonly EngineSpec[],
): number | null {
  if (adminPort === 'none') return null;
  if (adminPort !== 'auto') return adminPort;
  if (port === 0) return 0;
  const taken = new Set(
    workers.map(({ url }) => new URL(url)).flatMap((url) => (isLocal(url) ? [Number(url.port)] : [])),
  );
  let next = port + 1;
  while (taken.has(next)) next += 1;
  return next > portMax ? 0 : next;
}

function isLocal({ hostname }: URL): boolean {
  return isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
