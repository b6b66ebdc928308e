// Which pools let another engine go on with their streams.

import type { GatewayConfig } from './config.ts';

type Continues = Pick<GatewayConfig, 'continue' | 'pools'>;

/** @param pool with a name of its own; null: it has no settings of its own. O(pools) */
export function continuesIn(config: Continues, pool: string | null): boolean {
  const entry = pool === null ? undefined : config.pools.find(({ name }) => name === pool);
  return entry?.continue ?? config.continue;
}

/** Whether any pool may. O(pools) */
export function continuesAnywhere(config: Continues): boolean {
  return config.continue || config.pools.some((entry) => entry.continue === true);
}
