// Excludes second choices (stalled or full engines, and those with a trial request in flight) while others are left.

import type { WorkerIndex } from '../../core/index.ts';
import type { Pool } from './pool.ts';

/** @returns `excluded`, plus the second choices if that leaves a worker that is not on trial */
export function withSecondChoices(
  pool: Pool,
  excluded: ReadonlySet<WorkerIndex>,
  nowMs: number,
): ReadonlySet<WorkerIndex> {
  const seconds: WorkerIndex[] = [];
  let others = false;
  for (const { engine, membership } of pool.workers) {
    const { index } = membership!;
    if (!engine.takesRequests || excluded.has(index)) continue;
    if (engine.isSecondChoice(nowMs)) seconds.push(index);
    else if (!engine.onTrial) others = true;
  }
  return others && seconds.length > 0 ? new Set([...excluded, ...seconds]) : excluded;
}

/** Whether any worker is left that could take the request. */
export function hasUntried(pool: Pool, excluded: ReadonlySet<WorkerIndex>): boolean {
  for (const { engine, membership } of pool.workers) {
    if (engine.takesRequests && !excluded.has(membership!.index)) return true;
  }
  return false;
}
