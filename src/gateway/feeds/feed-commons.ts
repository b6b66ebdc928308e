// Resources shared by all KV-event feeds of a gateway: intake time, memory, decoder and listening addresses.

import { KvEventDecoder } from '../../wire/kv-events.ts';
import { BoundEndpoint, type Seat } from './bound-endpoint.ts';
import { IntakeBudget } from './intake-budget.ts';
import type { CopySource } from './peer-copy.ts';
import { PeerGate } from './peer-gate.ts';
import { WaitingBytes } from './waiting-bytes.ts';

/** A feed without a publisher for this long is given up until one connects. */
export const feedDeadMs: number = 10_000;

export class FeedCommons {
  readonly budget: IntakeBudget;
  readonly waiting: WaitingBytes = new WaitingBytes();
  /** Every event is applied before the next one is read. */
  readonly decoder: KvEventDecoder = new KvEventDecoder();
  /** Null: there are no other replicas. */
  copies: CopySource | null = null;
  readonly #gate: PeerGate;
  readonly #bound = new Map<string, BoundEndpoint>();

  /** Time without a publisher after which a feed is given up. */
  readonly deadMs: number;

  /** @param nowMs monotonic clock @param gate decides which peers may connect */
  constructor(nowMs: () => number, gate: PeerGate = new PeerGate(), deadMs: number = feedDeadMs) {
    this.deadMs = deadMs;
    this.budget = new IntakeBudget(nowMs);
    this.#gate = gate;
  }

  /** Opens the address for its first feed. */
  join(endpoint: string, seat: Seat): BoundEndpoint {
    const bound = this.#bound.get(endpoint) ?? new BoundEndpoint(endpoint, this, this.#gate);
    this.#bound.set(endpoint, bound);
    bound.join(seat);
    return bound;
  }

  /** Removes a feed, and closes the address after its last one. */
  leave(endpoint: string, seat: Seat): void {
    const bound = this.#bound.get(endpoint);
    if (bound === undefined) return;
    bound.leave(seat);
    if (bound.feeds > 0) return;
    this.#bound.delete(endpoint);
    bound.close();
  }
}
