// A feed's connection from a publisher that connects to us, at an address that other feeds may share.

import type { BoundEndpoint, Seat } from './bound-endpoint.ts';
import type { FeedAddress } from './feed-address.ts';
import type { FeedCommons } from './feed-commons.ts';
import type { ConnectionListener, FeedConnection } from './feed-connection.ts';
import { connectionBytesMax } from './waiting-bytes.ts';

/** Memory of a message besides its bytes. */
const messageOverheadBytes = 256;

export class IncomingConnection implements FeedConnection, Seat {
  readonly topic: string;
  readonly failure = null;
  readonly #endpoint: string;
  readonly #listener: ConnectionListener;
  readonly #commons: FeedCommons;
  #bound: BoundEndpoint | null = null;
  #disconnects = 0;
  /** Messages that wait for this feed while the connection delivers other feeds' messages. */
  #queue: (readonly Buffer[])[] = [];
  #queueBytes = 0;
  #handsOn = false;
  /** Resumes the connections that wait for this feed. */
  #drained: (() => void)[] = [];

  constructor({ endpoint, topic }: FeedAddress, listener: ConnectionListener, commons: FeedCommons) {
    this.topic = topic;
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#commons = commons;
  }

  get publishers(): number {
    return this.#bound?.publishersOf(this) ?? 0;
  }

  get disconnects(): number {
    return this.#disconnects;
  }

  get error(): string | null {
    if (this.#bound === null) return null;
    if (!this.#bound.isWaiting(this)) return this.#bound.error;
    return `another worker's events have the same address and topic ${JSON.stringify(this.topic)}`;
  }

  open(): void {
    this.#bound = this.#commons.join(this.#endpoint, this);
  }

  renew(): void {
    this.#bound?.renew(this);
  }

  close(): void {
    if (this.#bound !== null) this.#commons.leave(this.#endpoint, this);
    this.#bound = null;
  }

  connected(): void {
    this.#listener.connected();
  }

  disconnected(): void {
    this.#disconnects += 1;
    this.#listener.disconnected?.();
  }

  /**
   * One connection may carry messages of several feeds, so messages that this feed can't take yet are queued. Above
   * `connectionBytesMax` the connection waits.
   */
  message(frames: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#bound === null) return;
    // Copied, because a view would keep the whole receive buffer.
    const copy = frames.map((frame) => Buffer.from(frame));
    this.#queue.push(copy);
    this.#count(bytesOf(copy));
    if (!this.#handsOn) void this.#handOn();
    if (this.#queueBytes <= connectionBytesMax) return;
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  async #handOn(): Promise<void> {
    this.#handsOn = true;
    while (this.#queue.length > 0) {
      const messages = this.#queue;
      this.#queue = [];
      for (const message of messages) {
        await this.#take(message);
        this.#count(-bytesOf(message));
      }
      for (const resume of this.#drained.splice(0)) resume();
    }
    this.#handsOn = false;
  }

  async #take(message: readonly Buffer[]): Promise<void> {
    if (this.#bound === null) return;
    try {
      await this.#listener.message(message);
    } catch {
      // The listener reports its own errors; the next message may be fine.
    }
  }

  #count(bytes: number): void {
    this.#queueBytes += bytes;
    this.#commons.waiting.change(bytes);
  }
}

function bytesOf(message: readonly Buffer[]): number {
  return message.reduce((sum, frame) => sum + frame.length, messageOverheadBytes);
}
