// Lane: the requests of one tenant with one priority that wait for the same workers, as a binary heap by due time, then
// arrival. Any entry can be removed.

import type { Urgency } from './due-time.ts';

/** What is known of a request when it begins to wait. */
export interface PlaceFields {
  readonly lane: string;
  /** Lower values go first. */
  readonly priority: number;
  /** Whose share its tokens are taken from. */
  readonly tenant: string;
  /** Share of that tenant, relative to others. */
  readonly weight: number;
  readonly arrival: number;
  /** Blocks that the request needs if it shares none with other requests. */
  readonly blocks: number;
  /** Tokens that its tenant is charged for it, as far as is known before a worker is chosen. */
  readonly tokens: number;
  /** Predicted work as counted by the tenant reserve. */
  readonly workMs: number;
}

/** One waiting request. */
export class LanePlace<T> {
  readonly item: T;
  readonly lane: string;
  readonly priority: number;
  readonly tenant: string;
  readonly weight: number;
  readonly arrival: number;
  readonly blocks: number;
  readonly tokens: number;
  readonly workMs: number;
  /** It was held while workers were kept free for other tenants. */
  heldByReserve = false;
  /** Due time under late binding, otherwise 0. Changes only while the request is in no lane. */
  dueMs = 0;
  /** Values that the due time is computed from. Null without late binding. */
  urgency: Urgency | null = null;
  /** Position in the heap. -1 after removal. */
  at = -1;

  constructor(item: T, fields: PlaceFields) {
    this.item = item;
    this.lane = fields.lane;
    this.priority = fields.priority;
    this.tenant = fields.tenant;
    this.weight = fields.weight;
    this.arrival = fields.arrival;
    this.blocks = fields.blocks;
    this.tokens = fields.tokens;
    this.workMs = fields.workMs;
  }

  /** Within a tenant and a priority. */
  isBefore(other: LanePlace<T>): boolean {
    return this.dueMs === other.dueMs ? this.arrival < other.arrival : this.dueMs < other.dueMs;
  }
}

export class AdmissionLane<T> {
  readonly #heap: LanePlace<T>[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): LanePlace<T> | undefined {
    return this.#heap[0];
  }

  /** O(n) */
  get last(): LanePlace<T> | undefined {
    let last: LanePlace<T> | undefined;
    for (let at = this.#heap.length >>> 1; at < this.#heap.length; at++) {
      const place = this.#heap[at]!;
      if (last?.isBefore(place) ?? true) last = place;
    }
    return last;
  }

  /** O(log n) */
  push(place: LanePlace<T>): void {
    this.#put(place, this.#heap.length);
    this.#rise(place);
  }

  /** O(log n) @param place must be in this lane */
  remove(place: LanePlace<T>): void {
    const last = this.#heap.pop()!;
    if (last !== place) {
      this.#put(last, place.at);
      this.#rise(last);
      this.#sink(last);
    }
    place.at = -1;
  }

  #rise(place: LanePlace<T>): void {
    while (place.at > 0) {
      const parent = this.#heap[(place.at - 1) >>> 1]!;
      if (parent.isBefore(place)) return;
      this.#swap(place, parent);
    }
  }

  #sink(place: LanePlace<T>): void {
    for (;;) {
      const left = this.#heap[2 * place.at + 1];
      const right = this.#heap[2 * place.at + 2];
      const child = left !== undefined && right?.isBefore(left) ? right : left;
      if (child === undefined || place.isBefore(child)) return;
      this.#swap(place, child);
    }
  }

  #swap(a: LanePlace<T>, b: LanePlace<T>): void {
    const { at } = a;
    this.#put(a, b.at);
    this.#put(b, at);
  }

  #put(place: LanePlace<T>, at: number): void {
    this.#heap[at] = place;
    place.at = at;
  }
}
