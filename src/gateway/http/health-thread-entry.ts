// The health thread: a listener of its own for /health and /ready, which answers whatever the event loop is doing.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { healthAnswers } from './health-answers.ts';
import { HealthBoard } from './health-board.ts';
import type { HealthThreadData, HealthThreadNews } from './health-thread.ts';

/** Prober connections at a time; further ones are closed at once. */
const connectionsMax = 64;
const requestMsMax = 5000;
const idleMsMax = 75_000;
const headerBytesMax = 8192;

const { memory, host, port, tls, silenceMsMax } = workerData as HealthThreadData;
const board = new HealthBoard(memory);
const options = {
  noDelay: true,
  requestTimeout: requestMsMax,
  headersTimeout: requestMsMax,
  connectionsCheckingInterval: requestMsMax / 2,
  maxHeaderSize: headerBytesMax,
  keepAliveTimeout: idleMsMax,
};
const server =
  tls === null ? createServer(options) : createTlsServer({ ...options, ...tls, handshakeTimeout: requestMsMax });
server.maxConnections = connectionsMax;
server.on('request', answer);
server.on('clientError', (_error, socket: Socket) => socket.destroy());
server.on('tlsClientError', (_error, socket: Socket) => socket.destroy());
server.on('error', (error: NodeJS.ErrnoException) => {
  tell({ kind: 'failed', code: error.code ?? null, message: error.message });
});
server.listen({ host, port }, () => tell({ kind: 'listens', port: (server.address() as AddressInfo).port }));
parentPort!.on('message', (renewed: HealthThreadData['tls']) => {
  if (renewed !== null && server instanceof TlsServer) server.setSecureContext(renewed);
});

function tell(news: HealthThreadNews): void {
  parentPort!.postMessage(news);
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  // Nothing that a prober sends is of interest; a body is dropped.
  request.resume();
  const { status, contentType, body } = answerTo(request.method ?? 'GET', request.url ?? '/');
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function answerTo(method: string, url: string): { status: number; contentType: string; body: string } {
  const of = healthAnswers.get(url.split('?', 1)[0]!);
  if (of === undefined) return { status: 404, contentType: 'text/plain', body: 'only /health and /ready are here\n' };
  if (method === 'GET' || method === 'HEAD') return of(board.read(silenceMsMax));
  return { status: 405, contentType: 'text/plain', body: 'only GET is allowed here\n' };
}
