// Metrics of the names that the setting `models` has: where their requests went.

import { Counter, type Registry } from 'prom-client';
import type { ResolvedModel } from '../pools/pools.ts';
import { LabelCap } from './label-cap.ts';

/** Names and models are in the settings or listed by engines, which may list any number. */
const labelsMax = 2048;

export class RouteMetrics {
  readonly #requests: Counter<'name' | 'pool' | 'model' | 'way'>;
  readonly #labels = new LabelCap(labelsMax);

  constructor(registry: Registry) {
    this.#requests = new Counter({
      name: 'kvoyant_routed_requests_total',
      help: 'Requests for a name of the setting models, by the pool and model that they went to at last, and the way there: direct, alias, split or fallback.',
      labelNames: ['name', 'pool', 'model', 'way'],
      registers: [registry],
    });
  }

  /** To be called once for each request, at its end. */
  count({ pool, model, route }: ResolvedModel): void {
    if (route === null) return;
    const { asked, way } = route;
    const label = (text: string): string => this.#labels.of(text);
    this.#requests.inc({ name: label(asked), pool: label(pool.name), model: label(model), way });
  }
}
