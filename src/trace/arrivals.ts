// Arrival times of synthetic workloads, in milliseconds from the start.

import type { Random } from '../core/random.ts';

/** A Poisson process: independent exponential gaps, the first one before the first arrival. */
export function poissonArrivalsMs(count: number, ratePerS: number, random: Random): Float64Array {
  checkRate(ratePerS);
  const arrivalsMs = new Float64Array(count);
  let nowMs = 0;
  for (let i = 0; i < count; i++) {
    nowMs += random.exponential(1000 / ratePerS);
    arrivalsMs[i] = nowMs;
  }
  return arrivalsMs;
}

/** All at 0. */
export function burstArrivalsMs(count: number): Float64Array {
  return new Float64Array(count);
}

function checkRate(ratePerS: number): void {
  if (!(ratePerS > 0) || !Number.isFinite(ratePerS)) {
    throw new RangeError(`ratePerS must be a positive number, got ${ratePerS}`);
  }
}
