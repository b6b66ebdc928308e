// Due time of a waiting request under late binding: among equal priorities, the earliest due goes first.
//
// A request is due a multiple of its own prefill time after its arrival, so that short ones go first and long ones age.
// If it has an SLO that can still be met, it is due at the latest moment at which its prefill must start instead. Every
// due time lies between the arrival and `overtakenMsMax` after it, so a request is never overtaken by one that arrives
// later than that.

/** How much later than a request another one may arrive and still overtake it. */
export const overtakenMsMax = 10_000;
/** A request waits this many times its prefill before it is as urgent as one that takes no time. */
const stretch = 20;

export interface Urgency {
  readonly arrivalMs: number;
  /** Predicted prefill time on the worker where it is least. */
  readonly prefillMs: number;
  /** Wanted TTFT, counted from the arrival; Infinity if none is stated. */
  readonly sloTtftMs: number;
}

/** @param nowMs an SLO whose latest start has passed no longer counts: asking for the impossible gains nothing */
export function dueMs({ arrivalMs, prefillMs, sloTtftMs }: Urgency, nowMs: number): number {
  const latestMs = arrivalMs + sloTtftMs - prefillMs;
  const meetable = Number.isFinite(latestMs) && latestMs >= nowMs;
  const waitMs = meetable ? latestMs - arrivalMs : stretch * prefillMs;
  return arrivalMs + Math.min(overtakenMsMax, waitMs);
}
