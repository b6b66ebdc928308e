// Whether an engine can be done without: requests that fail everywhere must not put out the whole fleet.

import type { Engine } from '../engines/engine.ts';
import type { Pool } from '../pools/pool.ts';

/** Of the engines of a pool, for failed requests; whoever sends requests that fail could put out the others, too. */
const outShareMax = 0.5;

export function canBeSpared(engine: Engine, pool: Pool): boolean {
  const engines = new Set(Array.from(pool.workers, (worker) => worker.engine));
  let out = 1;
  for (const other of engines) if (other !== engine && !other.takesRequests) out += 1;
  return out <= engines.size * outShareMax;
}
