// Metrics of the speed model: slowness, TTFT prediction errors and regret of each worker.

import type { Registry } from 'prom-client';
import type { WorkerSpeed } from '../../core/index.ts';
import type { Pools } from '../pools/pools.ts';
import { type ReadMetric, registerOfWorkers } from './read-metric.ts';

type Figure = readonly [name: string, help: string, read: (speed: WorkerSpeed) => number | null];

const gauges: readonly Figure[] = [
  [
    'kvoyant_worker_slowness',
    'How many times slower a worker is than its pool; 1: as fast.',
    (speed) => speed.slowness,
  ],
  [
    'kvoyant_prefill_backlog_seconds',
    'Predicted time until the prefill booked on a worker is done.',
    (speed) => speed.backlogMs / 1000,
  ],
  [
    'kvoyant_ttft_prediction_error_ratio',
    'Mean of |predicted - actual| / actual TTFT from choice to first token, over the latest requests (MAPE).',
    (speed) => speed.ttftErrorShare,
  ],
  [
    'kvoyant_ttft_prediction_bias_ratio',
    'Mean of (predicted - actual) / actual TTFT; above 0: predicted too long.',
    (speed) => speed.ttftBiasShare,
  ],
];

const counters: readonly Figure[] = [
  ['kvoyant_ttft_predictions_total', 'First tokens whose TTFT was predicted and compared.', (speed) => speed.forecasts],
  [
    'kvoyant_ttft_regret_seconds_total',
    'How much sooner first tokens would have come from the worker that was best in hindsight.',
    (speed) => speed.regretSumMs / 1000,
  ],
  ['kvoyant_ttft_regrets_total', 'First tokens whose regret is known.', (speed) => speed.regrets],
];

/** A gauge has no value before the first observation. */
export function registerPredictions(registry: Registry, pools: Pools): void {
  const register = (type: ReadMetric['type'], [name, help, read]: Figure): void =>
    registerOfWorkers(registry, type, name, help, () => valuesOf(pools, read));
  for (const figure of gauges) register('gauge', figure);
  for (const figure of counters) register('counter', figure);
}

function* valuesOf(pools: Pools, read: Figure[2]): Generator<readonly [worker: string, value: number]> {
  for (const { router, workerIds } of pools) {
    const nowMs = performance.now();
    router.advance(nowMs);
    for (const [index, id] of workerIds) {
      const value = read(router.speedOf(index, nowMs));
      if (value !== null) yield [id, value];
    }
  }
}
