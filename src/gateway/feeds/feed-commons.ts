// What all KV-event feeds of a gateway share: the time and memory they may take, and the addresses that publishers connect to.

import { BoundEndpoint, type Seat } from './bound-endpoint.ts';
import { IntakeBudget } from './intake-budget.ts';
import { PeerGate } from './peer-gate.ts';
import { WaitingBytes } from './waiting-bytes.ts';

/** Without a publisher for so long its events are given up, until one connects. */
export const feedDeadMs: number = 10_000;

export class FeedCommons {
  readonly budget: IntakeBudget;
  readonly waiting: WaitingBytes = new WaitingBytes();
  readonly #gate: PeerGate;
  readonly #bound = new Map<string, BoundEndpoint>();

  /** Without a publisher for so long a feed is given up. */
  readonly deadMs: number;

  /** @param nowMs a clock that never goes back @param gate who may connect */
  constructor(nowMs: () => number, gate: PeerGate = new PeerGate(), deadMs: number = feedDeadMs) {
    this.deadMs = deadMs;
    this.budget = new IntakeBudget(nowMs);
    this.#gate = gate;
  }

  /** Opens the address if no feed is there yet. @returns null if another feed has that topic there */
  join(endpoint: string, seat: Seat): BoundEndpoint | null {
    const bound = this.#bound.get(endpoint) ?? new BoundEndpoint(endpoint, this, this.#gate);
    this.#bound.set(endpoint, bound);
    return bound.join(seat) ? bound : null;
  }

  /** Closes the address behind the last feed. */
  leave(endpoint: string, seat: Seat): void {
    const bound = this.#bound.get(endpoint);
    if (bound === undefined) return;
    bound.leave(seat);
    if (bound.feeds > 0) return;
    this.#bound.delete(endpoint);
    bound.close();
  }
}
