// A reservation that is being made: it can be cancelled while its prompt is tokenized and while it waits for room.

import type { WorkUse } from '../exchange/client-use.ts';
import type { Requester } from '../exchange/exchange.ts';

/** Why it is cancelled. `waited`: as long as its caller wanted to wait. */
export type Cancelled = 'deleted' | 'waited' | 'caller-gone';

/** What the placing of requests sees as its client. */
export class WaitingReservation implements Requester {
  readonly id: string;
  readonly startedMs: number;
  record: Requester['record'] = null;
  /** The request itself goes from its caller to the engine, unseen. */
  readonly trace = null;
  /** The tokens of its key and tenant; ended by whoever releases the reservation. */
  readonly use: WorkUse;
  /** Resolves once it is made or has failed. */
  readonly settled: Promise<void>;
  #settle: () => void = () => undefined;
  #cancelled: Cancelled | null = null;
  #onGone: (() => void) | null = null;

  constructor(id: string, use: WorkUse, startedMs: number) {
    this.id = id;
    this.use = use;
    this.startedMs = startedMs;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get cancelled(): Cancelled | null {
    return this.#cancelled;
  }

  get gone(): boolean {
    return this.#cancelled !== null;
  }

  /** A new callback replaces the previous one. */
  whenGone(callback: () => void): void {
    if (this.gone) callback();
    else this.#onGone = callback;
  }

  /** The first reason counts. */
  cancel(why: Cancelled): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = why;
    this.#onGone?.();
  }

  end(): void {
    this.#onGone = null;
    this.#settle();
  }
}
