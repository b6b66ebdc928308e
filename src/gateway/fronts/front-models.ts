// The models whose requests fronts may read by themselves.

import type { Pools } from '../pools/pools.ts';
import type { FrontModel, FrontModels } from './front-messages.ts';

/** A model is the owner's if engines tell the token ids of some of its prompts, or if it has no worker. */
export function frontModels(pools: Pools): FrontModels {
  const models: Record<string, FrontModel> = {};
  for (const [name] of pools.models()) {
    const { pool, lora } = pools.resolve(name);
    if (!pool.tokens.isOwn) continue;
    models[name] = { lora, blockSizes: [...pool.router.blockSizes()] };
  }
  return models;
}
