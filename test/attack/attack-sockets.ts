// Sockets of attackers; all are closed at the end.

import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Program } from '../fault/processes.ts';

export class AttackSockets {
  readonly #gateway: () => Program;
  readonly #sockets: Socket[] = [];

  constructor(gateway: () => Program) {
    this.#gateway = gateway;
  }

  /** Plain TCP connections from one of this machine's addresses, whatever protocol the gateway expects. */
  async open(count: number, localAddress = '127.0.0.1'): Promise<Socket[]> {
    const options = { port: Number(this.#gateway().port), host: '127.0.0.1', localAddress, allowHalfOpen: true };
    return this.#connected(count, 'connect', () => connect(options));
  }

  /** Connections with a completed TLS handshake. */
  async openTls(count: number): Promise<Socket[]> {
    const options = { port: Number(this.#gateway().port), host: '127.0.0.1', rejectUnauthorized: false };
    return this.#connected(count, 'secureConnect', () => connectTls(options));
  }

  /** Number that the gateway has not closed. */
  openCount(): number {
    return this.#sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  }

  closeAll(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }

  async #connected(count: number, event: string, make: () => Socket): Promise<Socket[]> {
    const sockets = Array.from({ length: count }, () => {
      const socket = make();
      // A refused connection may be closed or reset.
      socket.on('error', () => undefined).resume();
      this.#sockets.push(socket);
      return socket;
    });
    const settled = (socket: Socket): Promise<unknown> =>
      new Promise((resolve) => socket.once(event, resolve).once('close', resolve));
    await Promise.all(sockets.map(settled));
    return sockets;
  }
}
