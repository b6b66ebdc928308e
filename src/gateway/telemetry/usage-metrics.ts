// Metrics of usage and limits by tenant.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { Pools } from '../pools/pools.ts';
import { LabelCap, otherLabel } from './label-cap.ts';
import type { UsageEntry } from './usage-entry.ts';

/** Combinations of tenant, key and model; further ones count as `(other)`. */
const usageLabelsMax = 2000;
/** For requests without a key. */
const noKey = '(none)';

type UsageLabel = 'tenant' | 'key' | 'model';

export class UsageMetrics {
  readonly lines: Counter<'fate'>;
  readonly #requests: Counter<UsageLabel>;
  readonly #promptTokens: Counter<UsageLabel>;
  readonly #cachedTokens: Counter<UsageLabel>;
  readonly #outputTokens: Counter<UsageLabel>;
  readonly #refusals: Counter<'tenant' | 'limit'>;
  readonly #labels = new LabelCap(usageLabelsMax);

  constructor(registry: Registry, pools: Pools) {
    const registers = [registry];
    const counter = (name: string, help: string): Counter<UsageLabel> =>
      new Counter({ name, help, labelNames: ['tenant', 'key', 'model'], registers });
    this.#requests = counter('kvoyant_usage_requests_total', 'Answered attempts, by tenant, key and model.');
    this.#promptTokens = counter('kvoyant_usage_prompt_tokens_total', 'Their prompt tokens, cached ones included.');
    this.#cachedTokens = counter('kvoyant_usage_cached_tokens_total', 'Their prompt tokens that engines had cached.');
    this.#outputTokens = counter('kvoyant_usage_output_tokens_total', 'Their output tokens.');
    this.lines = new Counter({
      name: 'kvoyant_usage_lines_total',
      help: 'Usages for the file for billing, by fate: written, summed up since the buffer is full, or tried again since a write failed.',
      labelNames: ['fate'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'kvoyant_tenant_limited_total',
      help: 'Requests refused by a limit of their tenant or key, by tenant and limit.',
      labelNames: ['tenant', 'limit'],
      registers,
    });
    new Gauge({
      name: 'kvoyant_tenant_queue_depth',
      help: 'Requests in the queue, by tenant.',
      labelNames: ['pool', 'tenant'],
      registers,
      collect() {
        this.reset();
        for (const { name: pool, desk } of pools) {
          for (const [tenant, waiting] of desk.waitingByTenant()) this.set({ pool, tenant: tenant || noKey }, waiting);
        }
      },
    });
  }

  add({ tenant, key, model, requests, promptTokens, cachedTokens, outputTokens }: UsageEntry): void {
    const isOther = this.#labels.of(JSON.stringify([tenant, key, model])) === otherLabel;
    const labels = isOther
      ? { tenant: otherLabel, key: otherLabel, model: otherLabel }
      : { tenant: tenant || noKey, key: key ?? noKey, model };
    this.#requests.inc(labels, requests);
    this.#promptTokens.inc(labels, promptTokens);
    this.#cachedTokens.inc(labels, cachedTokens ?? 0);
    this.#outputTokens.inc(labels, outputTokens);
  }

  refused(tenant: string, limit: string): void {
    this.#refusals.inc({ tenant: tenant || noKey, limit });
  }
}
