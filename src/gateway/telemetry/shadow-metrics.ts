// Metrics of shadows: what became of the copies, and their figures beside those of the real requests.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { DecisionRecord } from './decision-log.ts';
import { LabelCap } from './label-cap.ts';

/**
 * How a copy ended. `dropped`: a limit on shadows was reached. `unplaced`: no worker took it. `aborted`: the real
 * request's client left, the gateway stopped, or it took longer than `totalMsMax`.
 */
export type ShadowOutcome = 'done' | 'failed' | 'aborted' | 'dropped' | 'unplaced';

/** Of a real request, as its client saw it. Times are from its arrival. */
export interface RealFigures {
  readonly status: number;
  readonly ttftMs: number | null;
  readonly durationMs: number;
  readonly usage: Usage | null;
  readonly outputTokens: number | null;
}

/** Copies under way. */
export interface ShadowFigures {
  readonly count: number;
  readonly heldBytes: number;
}

/** Names and pools are in the settings; engines may list any number of models. */
const labelsMax = 2048;
const bucketsS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const sides = ['name', 'pool', 'side'] as const;

type Side = 'real' | 'shadow';

export class ShadowMetrics {
  readonly #requests: Counter<'name' | 'pool' | 'outcome'>;
  readonly #statuses: Counter<'name' | 'pool' | 'real' | 'shadow'>;
  readonly #tokens: Counter<(typeof sides)[number] | 'kind'>;
  readonly #ttftS: Histogram<(typeof sides)[number]>;
  readonly #durationS: Histogram<(typeof sides)[number]>;
  readonly #labels = new LabelCap(labelsMax);

  constructor(registry: Registry, figures: () => ShadowFigures) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'kvoyant_shadow_requests_total',
      help: 'Copies of requests by the name asked for, the pool that they went to, and outcome: done, failed, aborted, dropped (a limit) or unplaced (no worker took it).',
      labelNames: ['name', 'pool', 'outcome'],
      registers,
    });
    this.#statuses = new Counter({
      name: 'kvoyant_shadow_statuses_total',
      help: 'Pairs of a real request and its copy by the status of each; 0: no answer.',
      labelNames: ['name', 'pool', 'real', 'shadow'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'kvoyant_shadow_tokens_total',
      help: 'Tokens of pairs, by side (real or shadow) and kind (prompt, cached, output).',
      labelNames: [...sides, 'kind'],
      registers,
    });
    this.#ttftS = new Histogram({
      name: 'kvoyant_shadow_time_to_first_token_seconds',
      help: 'Time to first token of pairs of streams, by side.',
      labelNames: sides,
      buckets: bucketsS,
      registers,
    });
    this.#durationS = new Histogram({
      name: 'kvoyant_shadow_duration_seconds',
      help: 'Time to the end of the answer of pairs, by side.',
      labelNames: sides,
      buckets: bucketsS,
      registers,
    });
    new Gauge({
      name: 'kvoyant_shadows',
      help: 'Copies of requests under way.',
      registers,
      collect() {
        this.set(figures().count);
      },
    });
    new Gauge({
      name: 'kvoyant_shadow_bytes',
      help: 'Memory held for copies of requests.',
      registers,
      collect() {
        this.set(figures().heldBytes);
      },
    });
  }

  ended(name: string, pool: string, outcome: ShadowOutcome): void {
    this.#requests.inc({ ...this.#pair(name, pool), outcome });
  }

  /** To be called once for a pair whose sides have both ended. */
  compared(name: string, pool: string, real: RealFigures, shadow: DecisionRecord): void {
    const pair = this.#pair(name, pool);
    this.#statuses.inc({ ...pair, real: String(real.status), shadow: String(shadow.status ?? 0) });
    const bothTtft = real.ttftMs !== null && shadow.ttftMs !== null;
    for (const [side, one] of [
      ['real', real],
      ['shadow', shadow],
    ] as const satisfies [Side, RealFigures | DecisionRecord][]) {
      const labels = { ...pair, side };
      const { usage, outputTokens } = one;
      if (usage !== null) this.#tokens.inc({ ...labels, kind: 'prompt' }, usage.promptTokens);
      if (usage?.cachedTokens != null) this.#tokens.inc({ ...labels, kind: 'cached' }, usage.cachedTokens);
      if (outputTokens !== null) this.#tokens.inc({ ...labels, kind: 'output' }, outputTokens);
      if (bothTtft) this.#ttftS.observe(labels, one.ttftMs! / 1000);
      if (one.durationMs !== null) this.#durationS.observe(labels, one.durationMs / 1000);
    }
  }

  #pair(name: string, pool: string): { name: string; pool: string } {
    return { name: this.#labels.of(name), pool: this.#labels.of(pool) };
  }
}
