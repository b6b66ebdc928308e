// The client of the gateway bench: a closed loop over a fixed number of connections.

import { connect, type Socket } from 'node:net';
import type { BenchBody } from './bodies.ts';

const firstToken = Buffer.from('"content":" ');
/** End of every complete answer. */
const answerEnd = '[DONE]\n\n\r\n0\r\n\r\n';

export interface LoadFigures {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  /** Time to first token of each request that had one. */
  readonly ttftMs: Float64Array;
  /** Reads from the sockets. */
  readonly reads: number;
}

export interface LoadTarget {
  /** URL that stream k connects to. */
  urlOf(stream: number): string;
  readonly path: string;
  /** Called when a part of this body's answer was read. */
  read(number: number): void;
}

/** Sends every body once, from `streams` connections, and waits for all answers. */
export async function runLoad(
  target: LoadTarget,
  bodies: readonly BenchBody[],
  streams: number,
  timeoutMs = 120_000,
): Promise<LoadFigures> {
  const ttftMs: number[] = [];
  let next = 0;
  let failed = 0;
  const take = (): BenchBody | null => bodies[next++] ?? null;
  const startMs = performance.now();
  const clients = Array.from({ length: Math.min(streams, bodies.length) }, (_, stream) => {
    const { hostname, port } = new URL(target.urlOf(stream));
    return new StreamClient(
      { host: hostname, port: Number(port), path: target.path, read: target.read },
      take,
      (ms) => {
        if (ms === null) failed += 1;
        else ttftMs.push(ms);
      },
    );
  });
  const timer = setTimeout(() => {
    for (const client of clients) client.giveUp();
  }, timeoutMs);
  await Promise.all(clients.map((client) => client.ended));
  clearTimeout(timer);
  const seconds = (performance.now() - startMs) / 1000;
  const reads = clients.reduce((sum, client) => sum + client.reads, 0);
  return { requests: ttftMs.length + failed, failed, seconds, ttftMs: Float64Array.from(ttftMs), reads };
}

interface StreamAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  read(number: number): void;
}

class StreamClient {
  readonly ended: Promise<void>;
  reads = 0;
  readonly #address: StreamAddress;
  readonly #take: () => BenchBody | null;
  /** Called for each request with its TTFT, or with null if it failed. */
  readonly #answered: (ttftMs: number | null) => void;
  #resolve: () => void = () => undefined;
  #socket: Socket;
  #busy = false;
  #number = 0;
  #sentMs = 0;
  #ttftMs: number | null = null;
  #isFine = true;
  #started = false;
  #tail = '';
  #gaveUp = false;

  constructor(address: StreamAddress, take: () => BenchBody | null, answered: (ttftMs: number | null) => void) {
    this.#address = address;
    this.#take = take;
    this.#answered = answered;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#socket = this.#open();
    this.#send();
  }

  giveUp(): void {
    this.#gaveUp = true;
    this.#socket.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: this.#address.host, port: this.#address.port, noDelay: true });
    socket.on('data', (bytes: Buffer) => this.#data(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
    return socket;
  }

  #send(): void {
    const body = this.#gaveUp ? null : this.#take();
    if (body === null) {
      this.#busy = false;
      this.#socket.destroy();
      this.#resolve();
      return;
    }
    this.#busy = true;
    this.#ttftMs = null;
    this.#isFine = true;
    this.#started = false;
    this.#tail = '';
    this.#sentMs = performance.now();
    this.#number = body.number;
    const { host, port, path } = this.#address;
    const head =
      `POST ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.bytes.length}\r\n\r\n`;
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    this.#socket.write(body.bytes);
    this.#socket.uncork();
  }

  #data(bytes: Buffer): void {
    if (!this.#busy) return;
    this.reads += 1;
    this.#address.read(this.#number);
    if (!this.#started) {
      this.#started = true;
      this.#isFine = bytes.toString('latin1', 9, 12) === '200';
    }
    if (this.#ttftMs === null && bytes.includes(firstToken)) this.#ttftMs = performance.now() - this.#sentMs;
    const newest = bytes.toString('latin1', Math.max(0, bytes.length - answerEnd.length));
    this.#tail = (this.#tail + newest).slice(-answerEnd.length);
    if (this.#tail !== answerEnd) {
      // An error has a length; its connection is not used again.
      if (!this.#isFine) this.#socket.destroy();
      return;
    }
    this.#answered(this.#isFine ? this.#ttftMs : null);
    this.#send();
  }

  #closed(): void {
    if (!this.#busy) return;
    this.#answered(null);
    this.#busy = false;
    this.#socket = this.#open();
    this.#send();
  }
}
