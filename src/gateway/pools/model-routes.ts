// The entries of `models` in force: which targets a request for a name is tried at, in which order.

import type { ModelRoute, ModelTarget } from '../config/model-route.ts';
import { nextName } from '../config/route-faults.ts';
import { weightedDraw } from './sticky-draw.ts';

/**
 * How a request came to its pool. `direct`: it named the model. `alias`: by another name. `split`: drawn by weights.
 * `fallback`: the first choice has no worker.
 */
export type Way = 'direct' | 'alias' | 'split' | 'fallback';

/** A model, or what a pool offers, that requests for a name may go to. */
export interface Candidate extends ModelTarget {
  /** The entry whose target it is. */
  readonly entry: string;
  readonly way: Way;
}

export class ModelRoutes {
  readonly #byName: ReadonlyMap<string, ModelRoute>;

  /** @param routes without names that lead to themselves */
  constructor(routes: readonly ModelRoute[]) {
    this.#byName = new Map(routes.map((route) => [route.name, route]));
  }

  get routes(): Iterable<ModelRoute> {
    return this.#byName.values();
  }

  find(name: string): ModelRoute | undefined {
    return this.#byName.get(name);
  }

  /** In the order of trial. @param key requests with the same key get the same targets */
  *candidates(name: string, key: string): Generator<Candidate> {
    const route = this.#byName.get(name);
    if (route === undefined) return;
    const { split, fallback } = route;
    const drawn =
      split.length === 1
        ? 0
        : weightedDraw(
            key,
            split.map((target) => [drawName(name, target), target.weight]),
          );
    yield* this.#reached(route, split[drawn]!, split.length === 1 ? firstWay(route) : 'split', key);
    for (const target of fallback) yield* this.#reached(route, target, 'fallback', key);
  }

  /** Every target that requests for the name may reach, whatever is drawn. */
  *reachable(name: string): Generator<Candidate> {
    const route = this.#byName.get(name);
    if (route === undefined) return;
    const { split, fallback } = route;
    for (const target of split) {
      const way = split.length === 1 ? firstWay(route) : 'split';
      if (target.weight > 0) yield* this.#allReached(route, target, way);
    }
    for (const target of fallback) yield* this.#allReached(route, target, 'fallback');
  }

  /** Targets of a target: those of the entry that it names, or itself. */
  *#reached(route: ModelRoute, target: ModelTarget, way: Way, key: string): Generator<Candidate> {
    const next = nextName(route, target);
    if (next === null || !this.#byName.has(next)) yield candidateOf(route, target, way);
    else for (const candidate of this.candidates(next, key)) yield { ...candidate, way: later(way, candidate.way) };
  }

  *#allReached(route: ModelRoute, target: ModelTarget, way: Way): Generator<Candidate> {
    const next = nextName(route, target);
    if (next === null || !this.#byName.has(next)) yield candidateOf(route, target, way);
    else for (const candidate of this.reachable(next)) yield { ...candidate, way: later(way, candidate.way) };
  }
}

function candidateOf({ name }: ModelRoute, { model, pool }: ModelTarget, way: Way): Candidate {
  return { entry: name, way, ...(model !== undefined && { model }), ...(pool !== undefined && { pool }) };
}

function firstWay(route: ModelRoute): Way {
  return route.split[0]!.model === route.name ? 'direct' : 'alias';
}

const ways: readonly Way[] = ['direct', 'alias', 'split', 'fallback'];

/** What says more of a chain of entries. */
function later(a: Way, b: Way): Way {
  return ways[Math.max(ways.indexOf(a), ways.indexOf(b))]!;
}

function drawName(entry: string, { model = '', pool = '' }: ModelTarget): string {
  return `${entry}\n${pool}\n${model}`;
}
