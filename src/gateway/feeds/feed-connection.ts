// How a feed hears its publisher: what a connection tells, and the one that connects, again after whatever happens.

import { Subscriber } from 'zeromq';
import type { FeedAddress } from './feed-address.ts';

/** Batches that wait while the event loop is busy or a replay is under way; more are lost, and show as a gap. */
export const waitingBatchesMax = 100_000;
const reconnectMsMin = 100;
const reconnectMsMax = 1000;
const heartbeatMs = 5000;
const heartbeatTimeoutMs = 15_000;

export interface ConnectionListener {
  /** A publisher has connected, or is connected again. */
  connected(): void;
  message(frames: readonly Uint8Array[]): Promise<void>;
}

export interface FeedConnection {
  /** Publishers connected now. */
  readonly publishers: number;
  /** How often the last of them has gone. */
  readonly disconnects: number;
  /** Why our end can't be opened, or null; it is tried again. */
  readonly error: string | null;
  open(): void;
  close(): void;
}

export function feedSocket(): Subscriber {
  return new Subscriber({
    receiveHighWaterMark: waitingBatchesMax,
    reconnectInterval: reconnectMsMin,
    reconnectMaxInterval: reconnectMsMax,
    heartbeatInterval: heartbeatMs,
    heartbeatTimeout: heartbeatTimeoutMs,
    linger: 0,
  });
}

export class OutgoingConnection implements FeedConnection {
  readonly error = null;
  readonly #address: FeedAddress;
  readonly #listener: ConnectionListener;
  readonly #socket = feedSocket();
  #publishers = 0;
  #disconnects = 0;

  constructor(address: FeedAddress, listener: ConnectionListener) {
    this.#address = address;
    this.#listener = listener;
  }

  get publishers(): number {
    return this.#publishers;
  }

  get disconnects(): number {
    return this.#disconnects;
  }

  open(): void {
    this.#socket.events.on('handshake', () => {
      this.#publishers = 1;
      this.#listener.connected();
    });
    this.#socket.events.on('disconnect', () => {
      this.#publishers = 0;
      this.#disconnects += 1;
    });
    this.#socket.subscribe(this.#address.topic);
    this.#socket.connect(this.#address.endpoint);
    void this.#receive();
  }

  close(): void {
    this.#socket.close();
  }

  /** One message at a time: those that wait meanwhile are ZeroMQ's to keep. */
  async #receive(): Promise<void> {
    for await (const message of this.#socket) await this.#listener.message(message);
  }
}
