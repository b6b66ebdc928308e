// Lines below a result table that describe its runs: requests, engines and bounds.

import { formatNumber } from '../report/text-table.ts';
import { engineProfiles } from '../sim/index.ts';
import type { SlowDown } from './fleet.ts';
import type { PredictionFigures } from './prediction-figures.ts';
import type { PolicyRuns } from './report-section.ts';
import { meanOver } from './result-table.ts';
import type { RunSpecJson } from './run-spec.ts';

/** @param policies runs on one workload at one load @returns lines without newline */
export function describeRuns(policies: readonly PolicyRuns[]): string[] {
  const { runs } = policies[0]!;
  const { workload, spec, cache, bounds } = runs[0]!;
  const rate = workload.ratePerS === null ? '' : `, ${formatNumber(workload.ratePerS, 2)} req/s`;
  const loop = workload.concurrencyMax === null ? '' : `, closed loop of ${workload.concurrencyMax}`;
  const ceilings =
    cache.ceiling === null || cache.pooledLru === null
      ? 'no request ended'
      : `hit rate: ceiling ${formatNumber(cache.ceiling, 3)}, pooled LRU ${formatNumber(cache.pooledLru, 3)}`;
  return [
    `${formatNumber(workload.requests)} requests, ISL ${formatNumber(workload.islMean)}, OSL ${formatNumber(workload.oslMean)}${rate}${loop}`,
    ...describeCluster(spec),
    `${ceilings}; mean TTFT at least ${formatNumber(bounds.ttftMeanMs / 1000, 3)} s`,
    ...policies.flatMap(describePrediction),
    ...workload.notes,
    ...(workload.recorded && runs.length > 1 ? [seedsOfTraceNote(runs.map((run) => run.spec.seed))] : []),
  ];
}

export function seedsOfTraceNote(seeds: readonly number[]): string {
  return `seeds ${seeds[0]} to ${seeds.at(-1)} replay the same trace: they differ in the draws of the policies, and count as one sample`;
}

function describePrediction({ policy, runs }: PolicyRuns): string[] {
  const percent = (of: (figures: PredictionFigures) => number | null): string => {
    const value = meanOver(runs, ({ prediction }) => (prediction === null ? null : of(prediction)));
    return value === null ? '-' : `${formatNumber(value * 100, 1)} %`;
  };
  if (runs.every(({ prediction }) => prediction === null)) return [];
  const error = `${percent(({ mape }) => mape)} (median ${percent(({ apeP50 }) => apeP50)})`;
  const line = `${policy} predicts TTFT with a mean absolute error of ${error}, bias ${percent(({ bias }) => bias)}`;
  const regretMs = meanOver(runs, ({ prediction }) => prediction?.regret?.meanMs ?? null);
  if (regretMs === null) return [line];
  const best = percent(({ regret }) => regret?.bestShare ?? null);
  return [`${line}; regret ${formatNumber(regretMs, 1)} ms on average, ${best} of the choices were best in hindsight`];
}

export function describeCluster(spec: RunSpecJson): string[] {
  const { workers, profile, engineSpeed, blockSize, kvTokens, slo, fleet } = spec;
  const speed = engineSpeed === 1 ? '' : ` x ${engineSpeed}`;
  const { kvBytesPerToken, memoryGb } = engineProfiles[profile];
  const capacities = fleet?.kvTokens ?? [kvTokens];
  const kvGb = (Math.max(...capacities) * kvBytesPerToken) / 1e9;
  const kv = capacities.map((tokens) => formatNumber(tokens)).join(' or ');
  return [
    `${workers} workers, ${profile}${speed}, block ${blockSize}, ${kv} KV tokens each`,
    ...(fleet?.speeds === undefined ? [] : [`speeds of the workers, in turn: ${fleet.speeds.join(', ')}`]),
    ...(fleet?.slowDown === undefined ? [] : [describeSlowDown(fleet.slowDown)]),
    ...(kvGb > memoryGb
      ? [
          `${kv} KV tokens are ${formatNumber(kvGb)} GB of the profile's model, where its cards have ${memoryGb} GB: ` +
            'give --kv-tokens of your engines (without it, the format of a trace says what it is studied with)',
        ]
      : []),
    `good: TTFT <= ${slo.ttftMs / 1000} s + ${slo.ttftPrefillFactor} x own prefill, TPOT <= ${slo.tpotMs} ms`,
  ];
}

function describeSlowDown({ worker, from, until, factor }: SlowDown): string {
  return `worker ${worker} is ${factor} x slower from ${from} to ${until} of the arrivals`;
}
