// Request ids given by an embedder, kept while one of the request's bookings is live.

import type { BookingRecord } from './active-blocks.ts';

export class BookingIds {
  /** Id -> number of live bookings. */
  readonly #bookings = new Map<string, number>();

  has(id: string): boolean {
    return this.#bookings.has(id);
  }

  opened(record: BookingRecord, id: string | undefined): void {
    record.id = id;
    if (id !== undefined) this.#bookings.set(id, (this.#bookings.get(id) ?? 0) + 1);
  }

  closed({ id }: BookingRecord): void {
    if (id === undefined) return;
    const rest = this.#bookings.get(id)! - 1;
    if (rest > 0) this.#bookings.set(id, rest);
    else this.#bookings.delete(id);
  }
}
