// What all KV-event feeds of a gateway share: the time they may take, and the addresses that publishers connect to.

import { BoundEndpoint, type Seat } from './bound-endpoint.ts';
import { IntakeBudget } from './intake-budget.ts';

export class FeedCommons {
  readonly budget: IntakeBudget;
  readonly #bound = new Map<string, BoundEndpoint>();

  /** @param nowMs a clock that never goes back */
  constructor(nowMs: () => number) {
    this.budget = new IntakeBudget(nowMs);
  }

  /** Opens the address if no feed is there yet. @returns null if another feed has that topic there */
  join(endpoint: string, seat: Seat): BoundEndpoint | null {
    const bound = this.#bound.get(endpoint) ?? new BoundEndpoint(endpoint, this.budget);
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
