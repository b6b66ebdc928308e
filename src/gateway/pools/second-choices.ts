// Workers that are left to others while there are others: those that said they are full, or are just being tried.

import type { WorkerIndex } from '../../core/index.ts';
import type { Pool } from './pool.ts';

/** @returns the workers to exclude: `excluded`, and the second choices if that leaves a sound worker */
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

/** Whether some worker is left that could take the request. */
export function hasUntried(pool: Pool, excluded: ReadonlySet<WorkerIndex>): boolean {
  for (const { engine, membership } of pool.workers) {
    if (engine.takesRequests && !excluded.has(membership!.index)) return true;
  }
  return false;
}
