// Due time of a waiting request under late binding: among equal priorities, the earliest due goes first.
//
// A request is due a multiple of its own prefill time after its arrival, so that short ones go first and long ones age.
// If it has an SLO that can still be met, it is due instead at the latest moment at which its prefill must start. Every
// due time is between the arrival and `overtakenMsMax` after it, so a request that arrives later than that never
// overtakes it.

/** A request that arrives this much later than another one can't overtake it. */
export const overtakenMsMax = 10_000;
/** A request waits this many times its prefill before it is as urgent as one that takes no time. */
const stretch = 20;

export interface Urgency {
  readonly arrivalMs: number;
  /** Predicted prefill time on the fastest worker for this request. */
  readonly prefillMs: number;
  /** Wanted TTFT, counted from the arrival; Infinity if none is stated. */
  readonly sloTtftMs: number;
}

/** @param nowMs an SLO whose latest start has passed is ignored, since it can't be met */
export function dueMs({ arrivalMs, prefillMs, sloTtftMs }: Urgency, nowMs: number): number {
  const latestMs = arrivalMs + sloTtftMs - prefillMs;
  const meetable = Number.isFinite(latestMs) && latestMs >= nowMs;
  const waitMs = meetable ? latestMs - arrivalMs : stretch * prefillMs;
  return arrivalMs + Math.min(overtakenMsMax, waitMs);
}
