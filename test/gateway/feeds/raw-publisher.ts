// A publisher of KV events written from the ZMTP specification alone; the test decides what it sends and answers.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { writeSeq } from '../../../src/wire/kv-events-frames.ts';
import { frameFlags, writeMessage } from '../../../src/wire/zmtp.ts';

/** Greeting of ZMTP 3.1, mechanism NULL, and the READY command of a socket. */
export function handshakeOf(socketType: string): Buffer {
  const greeting = Buffer.alloc(64);
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
  greeting.write('NULL', 12);
  const ready = Buffer.concat([
    Buffer.from('\x05READY\x0bSocket-Type', 'latin1'),
    Buffer.from([0, 0, 0, socketType.length]),
    Buffer.from(socketType),
  ]);
  return Buffer.concat([greeting, Buffer.from([frameFlags.command, ready.length]), ready]);
}

export class RawPublisher {
  /** Everything that subscribers have sent after their greeting. */
  received: Buffer = Buffer.alloc(0);
  readonly sockets: Socket[] = [];
  #server: Server | null = null;

  /** Listens on a free port. */
  async listen(handshake: Buffer = handshakeOf('PUB')): Promise<string> {
    const server = createServer((socket) => this.#adopt(socket, handshake));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `tcp://127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  async dial(endpoint: string, handshake: Buffer = handshakeOf('PUB'), localAddress = '127.0.0.1'): Promise<Socket> {
    const port = Number(/\d+$/.exec(endpoint)![0]);
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    this.#adopt(socket, handshake);
    return socket;
  }

  publish(topic: string, seq: number, payload: Uint8Array): void {
    this.write(writeMessage([topic, writeSeq(seq), payload]));
  }

  write(bytes: Uint8Array): void {
    for (const socket of this.sockets) if (!socket.destroyed) socket.write(bytes);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server?.close();
  }

  #adopt(socket: Socket, handshake: Buffer): void {
    this.sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
    socket.write(handshake);
  }
}
