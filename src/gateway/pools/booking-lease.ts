// Owns what a routed request holds: its bookings and its place at the engine, released together and once.

import type { FirstToken, Outcome, Routed, Router } from '../../core/index.ts';
import type { Engine } from '../engines/engine.ts';
import { releaseAll } from './release-all.ts';

export class BookingLease {
  readonly #router: Router;
  readonly #routed: Routed;
  /** Sequences per prompt; choice `i` of the answer belongs to prompt `floor(i / sequences)`. */
  readonly #sequences: number;
  readonly #started: boolean[];
  readonly #leaveEngine: () => void;
  #released = false;
  /** The decision evaluated at its first token; null before, or if nothing was predicted. */
  hindsight: FirstToken | null = null;

  constructor(router: Router, routed: Routed, sequences: number, engine: Pick<Engine, 'enter'>) {
    this.#router = router;
    this.#routed = routed;
    this.#sequences = sequences;
    this.#started = new Array<boolean>(routed.bookings.length).fill(false);
    // Must come last: a throw after it would leave the engine's count too high.
    this.#leaveEngine = engine.enter();
  }

  /** A lease of bookings that nobody else owns: if it can't be made, they are released. */
  static take(...[router, routed, sequences, engine]: ConstructorParameters<typeof BookingLease>): BookingLease {
    try {
      return new BookingLease(router, routed, sequences, engine);
    } catch (error) {
      releaseAll(router, routed, 'failed', performance.now());
      throw error;
    }
  }

  /** Counts tokens of one choice. The first tokens of a prompt end its prefill. */
  tokens(choice: number, count: number, nowMs: number): void {
    const prompt = Math.floor(choice / this.#sequences);
    const booking = this.#routed.bookings[prompt];
    // An engine may answer with choices that nobody asked for.
    if (booking === undefined || this.#released) return;
    if (!this.#started[prompt]) {
      this.#started[prompt] = true;
      this.hindsight ??= this.#router.firstToken(booking, nowMs);
    }
    if (count > 0) this.#router.outputTokens(booking, count, nowMs, choice % this.#sequences);
  }

  /** Sets the engine's own count, for requests with a single choice. */
  totalTokens(count: number): void {
    const booking = this.#routed.bookings[0];
    if (booking === undefined || this.#released) return;
    this.#router.setOutputTokens(booking, count);
  }

  /** Leaves the engine and releases all bookings, even if one of these throws. Later calls do nothing. */
  release(outcome: Outcome, nowMs: number): void {
    if (this.#released) return;
    this.#released = true;
    try {
      this.#leaveEngine();
    } finally {
      releaseAll(this.#router, this.#routed, outcome, nowMs);
    }
  }
}
