// Releases all bookings of a routed request, even if one of the releases throws.

import type { Outcome, Routed, Router } from '../../core/index.ts';

/** @throws the first error, after everything is released */
export function releaseAll(router: Router, { bookings }: Routed, outcome: Outcome, nowMs: number): void {
  const errors: unknown[] = [];
  for (const booking of bookings) {
    try {
      router.release(booking, outcome, nowMs);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
