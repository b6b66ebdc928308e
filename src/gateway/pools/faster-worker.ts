// Estimates whether another worker would answer sooner than a stalled engine.

import { assumedPrefillTokensPerS, type WorkerIndex } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';
import type { Pool } from './pool.ts';

/**
 * True if another worker would prefill this prompt, after those booked there, in less time than the stalled engine has
 * been silent. False while requests wait in the queue.
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
    const { activePrefillTokens, othersPrefillTokens, prefillTokensPerS } = pool.router.load(membership.index);
    const tokensPerS = prefillTokensPerS || assumedPrefillTokensPerS;
    const prefillTokens = activePrefillTokens + othersPrefillTokens + isl;
    if ((prefillTokens / tokensPerS) * 1000 <= silenceMs) return true;
  }
  return false;
}
