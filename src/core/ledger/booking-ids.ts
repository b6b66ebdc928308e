// Request ids given by an embedder, kept while one of the request's bookings is live.

export class BookingIds {
  /** Id -> number of live bookings. */
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
