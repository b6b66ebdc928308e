// One address that publishers connect to: a single socket for all feeds there, which their topics tell apart.

import { feedSocket } from './feed-connection.ts';
import type { IntakeBudget } from './intake-budget.ts';

const rebindMs = 1000;

/** One feed's place at the address. */
export interface Seat {
  readonly topic: string;
  /** A publisher has connected: nobody can tell whose it is. */
  connected(): void;
  disconnected(): void;
  /** Must not wait: the other feeds would. */
  message(frames: readonly Uint8Array[]): void;
}

export class BoundEndpoint {
  readonly #endpoint: string;
  readonly #budget: IntakeBudget;
  readonly #socket = feedSocket();
  /** Longest topic first: the first that a message's topic begins with has it. */
  #seats: readonly { readonly seat: Seat; readonly topic: Buffer }[] = [];
  #rebind: NodeJS.Timeout | undefined;
  #closed = false;
  #publishers = 0;
  #error: string | null = null;

  constructor(endpoint: string, budget: IntakeBudget) {
    this.#endpoint = endpoint;
    this.#budget = budget;
    this.#socket.events.on('handshake', () => {
      this.#publishers += 1;
      for (const { seat } of this.#seats) seat.connected();
    });
    this.#socket.events.on('disconnect', () => {
      this.#publishers = Math.max(0, this.#publishers - 1);
      for (const { seat } of this.#seats) seat.disconnected();
    });
    void this.#bind();
  }

  /** Publishers connected now, whosever they are. */
  get publishers(): number {
    return this.#publishers;
  }

  /** Why the address can't be opened, or null; it is tried again. */
  get error(): string | null {
    return this.#error;
  }

  get feeds(): number {
    return this.#seats.length;
  }

  /** @returns false if another feed has that topic here: nothing would tell them apart */
  join(seat: Seat): boolean {
    if (this.#seats.some(({ seat: { topic } }) => topic === seat.topic)) return false;
    const seats = [...this.#seats, { seat, topic: Buffer.from(seat.topic) }];
    this.#seats = seats.sort((a, b) => b.topic.length - a.topic.length);
    this.#socket.subscribe(seat.topic);
    if (this.#publishers > 0) seat.connected();
    return true;
  }

  leave(seat: Seat): void {
    this.#seats = this.#seats.filter((one) => one.seat !== seat);
    this.#socket.unsubscribe(seat.topic);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#rebind);
    this.#socket.close();
  }

  async #bind(): Promise<void> {
    try {
      await this.#socket.bind(this.#endpoint);
      this.#error = null;
    } catch (error) {
      if (this.#closed) return;
      this.#error = (error as Error).message;
      this.#rebind = setTimeout(() => void this.#bind(), rebindMs);
      return;
    }
    for await (const message of this.#socket) {
      if (this.#budget.spent) await this.#budget.nextTurn();
      this.#dispatch(message);
    }
  }

  /** O(feeds) */
  #dispatch(message: readonly Buffer[]): void {
    const topic = message[0] ?? Buffer.alloc(0);
    const found = this.#seats.find((one) => topic.subarray(0, one.topic.length).equals(one.topic));
    found?.seat.message(message);
  }
}
