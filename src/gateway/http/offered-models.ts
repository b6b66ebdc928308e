// The models that clients may ask for: those that engines list, and the names of `models` that lead to one.

import type { ModelDescription } from '../engines/listed-models.ts';
import type { Pools, ResolvedModel } from '../pools/pools.ts';

export function offeredModels(pools: Pools): Map<string, ModelDescription> {
  const offered = new Map<string, ModelDescription>();
  for (const [id, { description }] of pools.models()) {
    if (pools.routes.find(id) === undefined) offered.set(id, description);
  }
  for (const { name } of pools.routes.routes) {
    const targets = [...pools.reachable(name)];
    if (targets.length > 0) offered.set(name, described(name, targets));
  }
  return offered;
}

/** The name has the shortest context of all that may answer. */
function described(name: string, targets: readonly ResolvedModel[]): ModelDescription {
  const [first] = targets;
  const { created } = first!.pool.model(first!.model)!.description as { readonly created?: unknown };
  const contexts = targets.flatMap(({ pool, model }) => pool.contextTokens(model) ?? []);
  return {
    id: name,
    ...{ object: 'model', created: typeof created === 'number' ? created : 0, owned_by: 'kvoyant' },
    root: first!.model,
    parent: null,
    ...(contexts.length > 0 && { max_model_len: Math.min(...contexts) }),
  } as ModelDescription;
}
