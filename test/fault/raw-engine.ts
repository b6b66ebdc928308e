// An engine whose answers a test writes to the socket itself, for bytes that no HTTP library would send.

import { createServer, type Server, type Socket } from 'node:net';

/** Writes the answer to one inference request. */
export type RawAnswer = (socket: Socket) => unknown;

export const streamHead: string =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

/** One chunk of a body in chunked encoding. */
export function piece(bytes: string | Buffer): Buffer {
  const body = Buffer.from(bytes as string);
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]);
}

export const lastPiece: Buffer = Buffer.from('0\r\n\r\n');

export const token: string =
  'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null,"token_ids":null}]}\n\n';
export const ending: string =
  'data: {"choices":[{"index":0,"delta":{"content":"z"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

export class RawEngine {
  answer: RawAnswer = (socket) => socket.write(Buffer.concat([Buffer.from(streamHead), piece(ending), lastPiece]));
  requests = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      let head = '';
      socket.on('data', (bytes) => {
        head += bytes.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        if (head.startsWith('POST')) {
          // The tests' bodies are small and arrive with their headers, or right after them.
          if (!head.endsWith('}')) return;
          this.requests += 1;
          void this.answer(socket);
        } else this.#control(socket, head.split(' ')[1]!);
        head = '';
      });
    });
  }

  static async start(): Promise<RawEngine> {
    const engine = new RawEngine();
    await new Promise<void>((resolve) => engine.#server.listen(0, '127.0.0.1', resolve));
    return engine;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #control(socket: Socket, path: string): void {
    const models = JSON.stringify({ object: 'list', data: [{ id: 'fake', object: 'model' }] });
    const body = path === '/v1/models' ? models : '';
    const status = path === '/v1/models' || path === '/health' ? '200 OK' : '404 Not Found';
    socket.write(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  }
}

/** Writes the same bytes repeatedly until `bytesMax` are sent or the socket is closed. @returns the bytes sent */
export async function pour(socket: Socket, bytes: Buffer, bytesMax: number): Promise<number> {
  let sent = 0;
  while (sent < bytesMax && !socket.destroyed) {
    sent += bytes.length;
    if (!socket.write(bytes)) {
      await new Promise<void>((resolve) => {
        socket.once('drain', resolve);
        socket.once('close', resolve);
      });
    }
  }
  return sent;
}
