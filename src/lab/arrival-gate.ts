// Requests that depend on others: those that follow the end of one, and those that wait for room in a closed loop.

import type { Workload } from '../trace/workload.ts';

/** What the end of a request sets free. */
export interface Released {
  /** Requests that arrive after it, each behind its think time. */
  readonly followers: readonly { readonly request: number; readonly thinkMs: number }[];
  /** The request that takes its place, if one waits. */
  readonly admitted: number | null;
}

const none: Released['followers'] = [];

export class ArrivalGate {
  readonly #inFlightMax: number;
  readonly #followers = new Map<number, { request: number; thinkMs: number }[]>();
  /** Arrived and waiting, from `#heldFrom` on. */
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

  /** @returns whether the request may go on; otherwise a later `ended` names it. */
  arrived(request: number): boolean {
    if (this.#inFlight === this.#inFlightMax) {
      this.#held.push(request);
      return false;
    }
    this.#inFlight++;
    return true;
  }

  /** A request that had gone on has ended, however it did. */
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
