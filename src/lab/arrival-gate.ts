// Arrivals that depend on other requests: followers of an ended request, and requests held by a concurrency limit.

import type { Workload } from '../trace/workload.ts';

/** Requests that may proceed after another one has ended. */
export interface Released {
  /** Requests that arrive after it, each after its think time. */
  readonly followers: readonly { readonly request: number; readonly thinkMs: number }[];
  /** The held request that takes its place, if any. */
  readonly admitted: number | null;
}

const none: Released['followers'] = [];

export class ArrivalGate {
  readonly #inFlightMax: number;
  readonly #followers = new Map<number, { request: number; thinkMs: number }[]>();
  /** Requests that have arrived and wait, from index `#heldFrom` on. */
  readonly #held: number[] = [];
  #heldFrom = 0;
  #inFlight = 0;

  constructor({ requests, concurrencyMax }: Workload) {
    this.#inFlightMax = concurrencyMax ?? Number.POSITIVE_INFINITY;
    for (const [request, { after }] of requests.entries()) {
      if (after === undefined) continue;
      const follower = { request, thinkMs: after.thinkMs };
      const followers = this.#followers.get(after.request);
      if (followers) followers.push(follower);
      else this.#followers.set(after.request, [follower]);
    }
  }

  /** @returns whether the request may proceed; otherwise a later `ended` returns it */
  arrived(request: number): boolean {
    if (this.#inFlight === this.#inFlightMax) {
      this.#held.push(request);
      return false;
    }
    this.#inFlight++;
    return true;
  }

  /** A request that had proceeded has ended, successfully or not. */
  ended(request: number): Released {
    const followers = this.#followers.get(request) ?? none;
    const admitted = this.#held[this.#heldFrom];
    if (admitted === undefined) {
      this.#inFlight--;
      return { followers, admitted: null };
    }
    this.#heldFrom++;
    return { followers, admitted };
  }
}
