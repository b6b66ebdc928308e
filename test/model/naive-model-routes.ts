// The naive twin of `ModelRoutes.candidates`: expands lists of targets until no name of an entry is left.

import type { ModelRoute, ModelTarget } from '../../src/gateway/config/model-route.ts';

export interface NaiveTarget extends ModelTarget {
  readonly entry: string;
}

/** @param pick the position of the drawn target of an entry */
export function naiveCandidates(
  routes: readonly ModelRoute[],
  name: string,
  pick: (route: ModelRoute) => number,
): NaiveTarget[] {
  let list: NaiveTarget[] = [{ entry: '', model: name }];
  for (;;) {
    const at = list.findIndex(
      ({ entry, model, pool }) =>
        pool === undefined && model !== undefined && model !== entry && routes.some((route) => route.name === model),
    );
    if (at === -1) return list;
    const route = routes.find((one) => one.name === list[at]!.model)!;
    const targets = [route.split[pick(route)]!, ...route.fallback].map(({ model, pool }) => ({
      entry: route.name,
      ...(model !== undefined && { model }),
      ...(pool !== undefined && { pool }),
    }));
    list = [...list.slice(0, at), ...targets, ...list.slice(at + 1)];
  }
}
