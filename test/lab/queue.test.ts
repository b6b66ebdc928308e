// The price and gain of holding requests at the router: capacity below saturation, goodput above it.
//
// The same on whole workloads: kvoyant lab capacity --workloads b2b-150x5-long,multi-turn-long,... --policies kv,kv:queue=1000000
// and kvoyant lab run --workload b2b-150x5-long --rate 10 --policy kv,kv:queue=8

import { describe, expect, it } from 'vitest';
import {
  CapacitySearch,
  executeJob,
  parsePolicySpec,
  type RunResult,
  runSpecDefaults,
  speedBound,
  toJson,
} from '../../src/lab/index.ts';
import { generateWorkload, type WorkloadName } from '../../src/trace/generate-workload.ts';
import type { Workload } from '../../src/trace/workload.ts';
import { workloadOf } from './workloads.ts';

const workers = 4;
const specOf = (policy: string, kvTokens: number) => ({
  ...runSpecDefaults,
  policy: parsePolicySpec(policy),
  workers,
  kvTokens,
});

/** Small caches, so that few requests fill them. */
const cases: readonly (readonly [name: WorkloadName, kvTokens: number])[] = [
  ['b2b-150x5', 40_000],
  ['pr1731-osl', 40_000],
];

function capacityOf(workload: Workload, policy: string, kvTokens: number): number {
  const spec = specOf(policy, kvTokens);
  const search = new CapacitySearch(speedBound(workload, spec));
  const missesMax = 0.05 * 0.9 * workload.requests.length;
  for (let speed = search.next; speed !== null; speed = search.next) {
    search.tell(speed, !executeJob({ kind: 'probe', spec: toJson(spec), speed, missesMax }, workload).stoppedEarly);
  }
  return search.low;
}

function run(workload: Workload, policy: string, kvTokens: number): RunResult {
  return executeJob({ kind: 'run', spec: toJson(specOf(policy, kvTokens)), speed: 1 }, workload);
}

describe('a queue at the router', () => {
  it.each(cases)('costs at most a hundredth of the capacity of %s', (name, kvTokens) => {
    const workload = generateWorkload(name, 1, { requests: 300 });
    const without = capacityOf(workload, 'kv', kvTokens);
    expect(without).toBeGreaterThan(0);
    const ratio = capacityOf(workload, 'kv:queue=1000000', kvTokens) / without;
    // Both are known only to the resolution of the search.
    expect(ratio).toBeGreaterThan(0.99 / CapacitySearch.resolution);
  });

  it.each(cases)(
    'that is short keeps accepted requests within the SLO when %s overloads the workers',
    (name, kvTokens) => {
      const capacity = capacityOf(generateWorkload(name, 1, { requests: 300 }), 'kv', kvTokens);
      const overload = generateWorkload(name, 1, { requests: 600, ratePerS: 2.5 * capacity });
      const without = run(overload, 'kv', kvTokens).measured;
      const short = run(overload, 'kv:queue=8', kvTokens).measured;
      expect(without.failed).toBe(0);
      expect(short.failed).toBeGreaterThan(0);
      expect(short.goodputPerS).toBeGreaterThan(1.5 * without.goodputPerS);
    },
  );

  it('without a bound places every request in the end', () => {
    const overload = generateWorkload('pr1731-osl', 1, { requests: 300, ratePerS: 40 });
    const { measured, workers: figures } = run(overload, 'kv:queue=1000000', 40_000);
    expect(measured.failed).toBe(0);
    expect(figures.each.reduce((sum, { requests }) => sum + requests, 0)).toBe(300);
  });

  it('does not stall on prompts of 8,500 tokens: only the capacity holds them', () => {
    const long = workloadOf(Array.from({ length: 80 }, (_, i) => ({ atMs: i * 150, isl: 8500, osl: 20 })));
    const [without, queued] = ['kv', 'kv:queue=1000000'].map((policy) => run(long, policy, 186_000));
    expect(queued!.requestsPerS).toBeGreaterThan(0.99 * without!.requestsPerS);
  });
});
