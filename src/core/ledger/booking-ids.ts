// Ids that an embedder gave to its requests, as long as a booking of theirs lives.

export class BookingIds {
  /** Live bookings of each id. */
  readonly #bookings = new Map<string, number>();

  has(id: string): boolean {
    return this.#bookings.has(id);
  }

  opened(id: string): void {
    this.#bookings.set(id, (this.#bookings.get(id) ?? 0) + 1);
  }

  closed(id: string): void {
    const rest = this.#bookings.get(id)! - 1;
    if (rest > 0) this.#bookings.set(id, rest);
    else this.#bookings.delete(id);
  }
}
