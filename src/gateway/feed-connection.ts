// The socket of one feed: opened on whichever side is ours, opened again after whatever happens to it.

import { Subscriber } from 'zeromq';
import type { FeedAddress } from './feed-address.ts';

/** Batches that wait while the event loop is busy or a replay is under way; more are lost, and show as a gap. */
const waitingBatchesMax = 100_000;
const reconnectMsMin = 100;
const reconnectMsMax = 1000;
const rebindMs = 1000;
const heartbeatMs = 5000;
const heartbeatTimeoutMs = 15_000;

export interface ConnectionListener {
  /** A publisher has connected, or is connected again. */
  connected(): void;
  message(frames: readonly Uint8Array[]): Promise<void>;
}

export class FeedConnection {
  readonly #address: FeedAddress;
  readonly #listener: ConnectionListener;
  readonly #socket: Subscriber;
  #rebind: NodeJS.Timeout | undefined;
  #closed = false;
  #publishers = 0;
  #disconnects = 0;
  #error: string | null = null;

  constructor(address: FeedAddress, listener: ConnectionListener) {
    this.#address = address;
    this.#listener = listener;
    this.#socket = new Subscriber({
      receiveHighWaterMark: waitingBatchesMax,
      reconnectInterval: reconnectMsMin,
      reconnectMaxInterval: reconnectMsMax,
      heartbeatInterval: heartbeatMs,
      heartbeatTimeout: heartbeatTimeoutMs,
      linger: 0,
    });
  }

  /** Publishers connected now. */
  get publishers(): number {
    return this.#publishers;
  }

  /** How often the last of them has gone. */
  get disconnects(): number {
    return this.#disconnects;
  }

  /** Why our end can't be opened, or null; it is tried again. */
  get error(): string | null {
    return this.#error;
  }

  open(): void {
    const { mode, endpoint, topic } = this.#address;
    this.#socket.events.on('handshake', () => {
      this.#publishers = mode === 'bind' ? this.#publishers + 1 : 1;
      this.#listener.connected();
    });
    this.#socket.events.on('disconnect', () => {
      this.#publishers = mode === 'bind' ? Math.max(0, this.#publishers - 1) : 0;
      if (this.#publishers === 0) this.#disconnects += 1;
    });
    this.#socket.subscribe(topic);
    if (mode === 'bind') {
      void this.#bind();
      return;
    }
    this.#socket.connect(endpoint);
    void this.#receive();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#rebind);
    this.#socket.close();
  }

  async #bind(): Promise<void> {
    try {
      await this.#socket.bind(this.#address.endpoint);
      this.#error = null;
    } catch (error) {
      if (this.#closed) return;
      this.#error = (error as Error).message;
      this.#rebind = setTimeout(() => void this.#bind(), rebindMs);
      return;
    }
    await this.#receive();
  }

  /** One message at a time: those that wait meanwhile are ZeroMQ's to keep. */
  async #receive(): Promise<void> {
    for await (const message of this.#socket) await this.#listener.message(message);
  }
}
