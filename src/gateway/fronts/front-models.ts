// The models whose requests fronts may read by themselves.

import type { Pools, ResolvedModel } from '../pools/pools.ts';
import type { FrontModel, FrontModels } from './front-messages.ts';

/**
 * A model is the owner's if engines tell the token ids of some of its prompts, or if it has no worker. A name of
 * `models` is, too, if its requests may go where the same prompt has other tokens or hashes, or if some are copied.
 */
export function frontModels(pools: Pools): FrontModels {
  const models: Record<string, FrontModel> = {};
  for (const [name] of pools.models()) {
    if (pools.routes.find(name) !== undefined) continue;
    const model = commonOf([pools.resolve(name)]);
    if (model !== null) models[name] = model;
  }
  for (const { name, shadow } of pools.routes.routes) {
    const model = shadow === undefined ? commonOf([...pools.reachable(name)]) : null;
    if (model !== null) models[name] = model;
  }
  return models;
}

/** Null: a front can't serve them all alike. */
function commonOf(targets: readonly ResolvedModel[]): FrontModel | null {
  const [first] = targets;
  if (first === undefined) return null;
  const { lora, pool } = first;
  const { source: tokenizer } = pool.tokens;
  const alike = targets.every(
    (one) => one.lora === lora && one.pool.tokens.isOwn && one.pool.tokens.source === tokenizer,
  );
  if (!alike) return null;
  const blockSizes = new Set(targets.flatMap((one) => [...one.pool.router.blockSizes()]));
  return { lora, tokenizer, blockSizes: [...blockSizes].sort((a, b) => a - b) };
}
