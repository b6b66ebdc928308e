// A proxy in front of an engine that lets a test replace any request or answer.

import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Bends {
  /** Replaces the body of a request to this path. */
  request?(path: string, body: string): string;
  /** Replaces the answer from this path; null: 404. */
  answer?(path: string, body: string): string | null;
}

export class EngineProxy {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: string, bends: Bends): Promise<EngineProxy> {
    const server = createServer((request, response) => void forward(target, bends, request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new EngineProxy(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function forward(
  target: string,
  bends: Bends,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url!;
  const received = await textOf(request);
  const body = request.method === 'POST' ? (bends.request?.(path, received) ?? received) : received;
  const { 'content-length': _length, host: _host, ...headers } = request.headers;
  const asked = httpRequest(target + path, { method: request.method, headers, agent: false });
  asked.on('response', async (answer) => {
    const text = await textOf(answer);
    const bent = bends.answer === undefined ? text : bends.answer(path, text);
    response.writeHead(bent === null ? 404 : answer.statusCode!, {
      'content-type': answer.headers['content-type'] ?? '',
    });
    response.end(bent ?? '');
  });
  asked.on('error', () => response.destroy());
  asked.end(body);
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
