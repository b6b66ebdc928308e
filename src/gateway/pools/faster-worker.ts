// Whether a request that waits at a stalled engine is likely to be answered sooner by another one.

import { assumedPrefillTokensPerS, type WorkerIndex } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';
import type { Pool } from './pool.ts';

/**
 * Another worker is likely to be faster if it should compute the prompt, behind those that are booked there, within the
 * time that this one has been silent for. Where others wait for room, no worker is.
 * @param isl of the request
 * @param silenceMs of its engine
 */
export function hasFaster(
  pool: Pool,
  excluded: ReadonlySet<WorkerIndex>,
  { engine: stalled }: Worker,
  isl: number,
  silenceMs: number,
): boolean {
  if (pool.desk.waiting > 0) return false;
  const nowMs = performance.now();
  for (const { engine, membership } of pool.workers) {
    if (engine === stalled || !engine.takesRequests || engine.onTrial || engine.isSecondChoice(nowMs)) continue;
    if (membership === null || excluded.has(membership.index)) continue;
    const { activePrefillTokens, prefillTokensPerS } = pool.router.load(membership.index);
    const tokensPerS = prefillTokensPerS || assumedPrefillTokensPerS;
    if (((activePrefillTokens + isl) / tokensPerS) * 1000 <= silenceMs) return true;
  }
  return false;
}
