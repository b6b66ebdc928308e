// Events of a simulation, and their order at the same time.

import type { BlockHashes, Booking, KvEvent, WorkerIndex } from '../core/types.ts';
import type { NetworkEvent } from './router-network.ts';

export type LabEvent =
  | NetworkEvent
  /** The slow-down of a worker begins or ends. */
  | { readonly kind: 'pace'; readonly worker: WorkerIndex; readonly factor: number }
  | { readonly kind: 'step-end'; readonly worker: WorkerIndex }
  | { readonly kind: 'kv-events'; readonly worker: WorkerIndex; readonly events: readonly KvEvent[] }
  | { readonly kind: 'booking'; readonly request: number; readonly routed: Placed }
  /** A request held by the concurrency limit takes the place of an ended one. */
  | { readonly kind: 'admission'; readonly request: number }
  | { readonly kind: 'arrival'; readonly request: number };

/** Order of events at the same time. */
export const eventRank: Readonly<Record<LabEvent['kind'], number>> = {
  pace: 0,
  'step-end': 1,
  'kv-events': 2,
  'router-message': 3,
  'router-tick': 4,
  'router-flush': 5,
  booking: 6,
  admission: 7,
  arrival: 8,
};

export interface Placed {
  readonly worker: WorkerIndex;
  readonly booking: Booking;
  readonly hashes: BlockHashes;
}
