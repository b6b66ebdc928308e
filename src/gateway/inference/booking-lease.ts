// Ties the bookings of one routed request to its life: whatever ends the request, they are released exactly once.

import type { Router } from '../../core/index.ts';
import type { Outcome, Routed } from '../../core/types.ts';

export class BookingLease {
  readonly #router: Router;
  readonly #routed: Routed;
  /** Sequences of each prompt; choice `i` of the answer belongs to prompt `floor(i / sequences)`. */
  readonly #sequences: number;
  readonly #started: boolean[];
  #released = false;

  constructor(router: Router, routed: Routed, sequences: number) {
    this.#router = router;
    this.#routed = routed;
    this.#sequences = sequences;
    this.#started = new Array<boolean>(routed.bookings.length).fill(false);
  }

  /** Tokens of one choice of the answer; the first of a prompt say that its prefill is done. */
  tokens(choice: number, count: number, nowMs: number): void {
    const prompt = Math.floor(choice / this.#sequences);
    const booking = this.#routed.bookings[prompt];
    // An engine may answer with choices that nobody asked for.
    if (booking === undefined || this.#released) return;
    if (!this.#started[prompt]) {
      this.#started[prompt] = true;
      this.#router.firstToken(booking, nowMs);
    }
    if (count > 0) this.#router.outputTokens(booking, count, nowMs, choice % this.#sequences);
  }

  /** The engine's own count, for requests with a single choice. */
  totalTokens(count: number): void {
    const booking = this.#routed.bookings[0];
    if (booking === undefined || this.#released) return;
    this.#router.setOutputTokens(booking, count);
  }

  /** Later calls do nothing. */
  release(outcome: Outcome, nowMs: number): void {
    if (this.#released) return;
    this.#released = true;
    for (const booking of this.#routed.bookings) this.#router.release(booking, outcome, nowMs);
  }
}
