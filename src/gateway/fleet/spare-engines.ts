// Whether an engine can be spared: requests that fail everywhere must not put out the whole fleet.

import type { Engine } from '../engines/engine.ts';
import type { Pool } from '../pools/pool.ts';

/** Share of a pool's engines that failed requests may put out of use; else one client's bad requests could stop all. */
const outShareMax = 0.5;

export function canBeSpared(engine: Engine, pool: Pool): boolean {
  const engines = new Set(Array.from(pool.workers, (worker) => worker.engine));
  let out = 1;
  for (const other of engines) if (other !== engine && !other.takesRequests) out += 1;
  return out <= engines.size * outShareMax;
}
