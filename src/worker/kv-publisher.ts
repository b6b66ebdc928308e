// Publishes an engine's KV events over ZMQ, one batch a step, numbered from 0.

import { Publisher } from 'zeromq';
import type { KvEvent } from '../core/types.ts';
import { encodeKvBatch, writeKvFrames } from '../wire/kv-events.ts';

/** Batches that ZMQ keeps for a slow subscriber; beyond it that subscriber loses batches. vLLM's default. */
export const highWaterMark = 100_000;
/** The port of a publisher that was just closed becomes free a moment later. */
const bindAttemptsMax = 50;
const bindRetryMs = 20;

export class KvPublisher {
  readonly endpoint: string;
  readonly #socket: Publisher;
  #seq = 0;
  /** Sends go out one after the other: a ZMQ socket takes one at a time. */
  #sending: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(socket: Publisher, endpoint: string) {
    this.#socket = socket;
    this.endpoint = endpoint;
  }

  /** @param port 0: any free one */
  static async bind(host: string, port: number): Promise<KvPublisher> {
    const socket = new Publisher({ sendHighWaterMark: highWaterMark, linger: 0 });
    for (let attempt = 1; ; attempt++) {
      try {
        await socket.bind(`tcp://${host}:${port === 0 ? '*' : port}`);
        break;
      } catch (error) {
        const inUse = (error as { code?: string }).code === 'EADDRINUSE';
        if (!inUse || attempt === bindAttemptsMax) {
          socket.close();
          throw new Error(`no KV event publisher on ${host}:${port}: ${(error as Error).message}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, bindRetryMs));
      }
    }
    const endpoint = socket.lastEndpoint;
    if (endpoint === null) throw new Error('a bound ZMQ socket has an endpoint');
    return new KvPublisher(socket, endpoint);
  }

  get port(): number {
    return Number(/:(\d+)$/.exec(this.endpoint)?.[1]);
  }

  /** @param timestampS seconds since the epoch */
  publish(timestampS: number, events: readonly KvEvent[]): void {
    const frames = writeKvFrames('', this.#seq++, encodeKvBatch(timestampS, 0, events));
    this.#sending = this.#sending.then(() => this.#send(frames));
  }

  async #send(frames: readonly (string | Uint8Array)[]): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#socket.send([...frames]);
    } catch (error) {
      // A send that was under way when the socket closed.
      if (!this.#closed) throw error;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
