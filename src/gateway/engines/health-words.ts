// Texts about an engine's silence, for its `reason`, the log, and the errors of requests that it ends.

import type { HealthCause } from './engine-health.ts';

export function silentFor(silentMs: number): string {
  return `it has been silent for ${Math.round(silentMs)} ms`;
}

export function givenUpAfter(silentMs: number): string {
  return `${silentFor(silentMs)} and does not answer /health`;
}

/** @param state of the engine */
export function reasonOf(state: string, cause: HealthCause | null): string | null {
  if (cause === null || typeof cause === 'string') return cause;
  return state === 'stalled' ? silentFor(cause.silentMs) : givenUpAfter(cause.silentMs);
}
