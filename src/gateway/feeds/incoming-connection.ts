// How a feed hears a publisher that connects to us, at an address that other feeds may share.

import type { BoundEndpoint, Seat } from './bound-endpoint.ts';
import type { FeedAddress } from './feed-address.ts';
import type { FeedCommons } from './feed-commons.ts';
import { type ConnectionListener, type FeedConnection, waitingBatchesMax } from './feed-connection.ts';

/** Between two tries for a topic that another feed has at the same address. */
const rejoinMs = 1000;

export class IncomingConnection implements FeedConnection, Seat {
  readonly topic: string;
  readonly #endpoint: string;
  readonly #listener: ConnectionListener;
  readonly #commons: FeedCommons;
  #bound: BoundEndpoint | null = null;
  #isTaken = false;
  #rejoin: NodeJS.Timeout | undefined;
  #disconnects = 0;
  /** Told apart among the messages that came since the last publisher connected: no more than two are kept. */
  #topics: Buffer[] = [];
  #waiting: (readonly Uint8Array[])[] = [];
  #waitingCount = 0;
  #handsOn = false;

  constructor({ endpoint, topic }: FeedAddress, listener: ConnectionListener, commons: FeedCommons) {
    this.topic = topic;
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#commons = commons;
  }

  /**
   * A feed with a topic hears nobody else, unless several topics begin with it. A feed without one hears everyone that
   * no other feed there accounts for.
   */
  get publishers(): number {
    if (this.#bound === null || this.#bound.publishers === 0) return 0;
    const { publishers, feeds } = this.#bound;
    return this.topic === '' ? Math.max(1, publishers - feeds + 1) : Math.max(1, this.#topics.length);
  }

  get disconnects(): number {
    return this.#disconnects;
  }

  get error(): string | null {
    if (this.#isTaken) return `another worker's events have the same address and topic ${JSON.stringify(this.topic)}`;
    return this.#bound?.error ?? null;
  }

  open(): void {
    this.#bound = this.#commons.join(this.#endpoint, this);
    this.#isTaken = this.#bound === null;
    if (this.#isTaken) this.#rejoin = setTimeout(() => this.open(), rejoinMs);
  }

  close(): void {
    clearTimeout(this.#rejoin);
    this.#waiting = [];
    if (this.#bound !== null) this.#commons.leave(this.#endpoint, this);
    this.#bound = null;
  }

  connected(): void {
    this.#topics = [];
    this.#listener.connected();
  }

  disconnected(): void {
    if (this.publishers === 0) this.#disconnects += 1;
  }

  message(frames: readonly Uint8Array[]): void {
    this.#noteTopic(frames[0]!);
    // What is too much shows as a gap.
    if (this.#waitingCount >= waitingBatchesMax) return;
    this.#waitingCount += 1;
    this.#waiting.push(frames);
    if (!this.#handsOn) void this.#handOn();
  }

  async #handOn(): Promise<void> {
    this.#handsOn = true;
    while (this.#waiting.length > 0) {
      const messages = this.#waiting;
      this.#waiting = [];
      for (const message of messages) {
        this.#waitingCount -= 1;
        if (this.#bound !== null) await this.#listener.message(message);
      }
    }
    this.#handsOn = false;
  }

  #noteTopic(topic: Uint8Array): void {
    if (this.#topics.length < 2 && !this.#topics.some((one) => one.equals(topic)))
      this.#topics.push(Buffer.from(topic));
  }
}
