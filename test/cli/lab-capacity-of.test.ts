// Verdicts of the capacity search: over all seeds together, and from longer runs if the usual one is inconclusive.

import { describe, expect, it } from 'vitest';
import { type Capacity, capacityOf, type SeededRun } from '../../src/cli/lab-capacity-of.ts';
import type { Execute } from '../../src/cli/lab-threads.ts';
import type { WorkloadSpec } from '../../src/cli/lab-workload.ts';
import { CapacitySearch, type ProbeResult, parsePolicySpec, runSpecDefaults } from '../../src/lab/index.ts';

function seeded(seed: number, requests: number | null = null): SeededRun {
  const workload: WorkloadSpec = {
    name: 'prefix-free',
    file: null,
    seed,
    requests,
    arrivals: { kind: 'own' },
    jitterMs: 0,
    traceBlockTokens: null,
    tokenizer: 'builtin',
  };
  return { workload, spec: { ...runSpecDefaults, policy: parsePolicySpec('kv'), seed } };
}

/** Behaviour of an imagined engine at one rate. */
interface Imagined {
  goodShare(requests: number, speed: number, seed: number): number;
  slowdown?(requests: number): number;
  /** At speed 1, for the usual 3,000 requests. */
  readonly spanOverE2e?: number;
}

async function find(runs: readonly SeededRun[], { goodShare, slowdown, spanOverE2e = 5000 }: Imagined) {
  const asked: { requests: number; speed: number }[] = [];
  const execute = ((workload: WorkloadSpec, job: { speed: number }) => {
    const requests = workload.requests ?? 3000;
    asked.push({ requests, speed: job.speed });
    const half = (e2eMs: number) => ({ done: 50, e2eMs: 50 * e2eMs, outputTokens: 50 });
    const result: ProbeResult = {
      speed: job.speed,
      requests,
      measured: 100,
      stoppedEarly: false,
      good: 100 * goodShare(requests, job.speed, workload.seed),
      ttftSumMs: 100,
      spanMs: ((1 + (slowdown?.(requests) ?? 1)) / 2) * 1000 * spanOverE2e * (requests / 3000 / job.speed),
      halves: [half(1000), half(1000 * (slowdown?.(requests) ?? 1))],
    };
    return Promise.resolve(result);
  }) as Execute;
  let expected = 0;
  const capacity = (await capacityOf(
    { execute, progress: { expect: (jobs: number) => (expected += jobs) } as never },
    runs,
  ))!;
  expect(expected).toBe(asked.length);
  return { capacity, asked };
}

const isNear = ({ speed, failsFrom }: Capacity, edge: number): void => {
  expect(speed).toBeLessThanOrEqual(edge);
  expect(failsFrom).toBeGreaterThan(edge);
  expect(failsFrom! / speed).toBeLessThanOrEqual(CapacitySearch.resolution * 1.0001);
};

describe('capacityOf', () => {
  it('pools the seeds: one bad seed can be outweighed', async () => {
    const runs = [seeded(1), seeded(2), seeded(3)];
    const first = await find(runs, { goodShare: (_, speed, seed) => (seed === 1 && speed > 8 ? 0.88 : 1) });
    expect(first.capacity.speed).toBeGreaterThan(20);
    const second = await find(runs, { goodShare: (_, speed, seed) => (seed === 1 && speed > 8 ? 0.8 : 1) });
    isNear(second.capacity, 8);
  });

  it('trusts the longest run about the highest good rate', async () => {
    const { capacity } = await find([seeded(1)], {
      goodShare: (requests, speed) => (speed > (requests === 12_000 ? 9 : 12) ? 0.03 : 0.98),
    });
    expect(capacity.speed).toBeLessThanOrEqual(9);
    expect(capacity.speed).toBeGreaterThan(8);
    expect(capacity.judged).toMatchObject({ requests: 12_000, verdict: 'good' });
  });

  it('lengthens a run in which answers slow down, and counts it as bad if they still do', async () => {
    const passing = await find([seeded(1)], {
      goodShare: () => 1,
      slowdown: (requests) => (requests === 3000 ? 1.3 : 1),
    });
    expect(passing.capacity.speed).toBeGreaterThan(20);
    expect(passing.asked.some(({ requests }) => requests === 6000)).toBe(true);
    const lasting = await find([seeded(1)], { goodShare: () => 1, slowdown: () => 1.3 });
    expect(lasting.capacity).toMatchObject({ speed: 0, judged: null });
    const verdicts = new Set(lasting.capacity.probes.map(({ verdict }) => verdict));
    verdicts.delete('over-bound');
    expect([...verdicts]).toEqual(['slows']);
  });

  it('does not lengthen a workload with a given number of requests, reports that, and never exceeds the bound', async () => {
    const { capacity, asked } = await find([seeded(1, 500)], { goodShare: () => 1, spanOverE2e: 60 });
    expect(new Set(asked.map(({ requests }) => requests))).toEqual(new Set([500]));
    expect(capacity.speed).toBe(capacity.speedBound);
    expect(capacity.failsFrom).toBeNull();
    expect(capacity.judged!.verdict).toBe('short');
    const longer = await find([seeded(1)], { goodShare: () => 1, spanOverE2e: 60 });
    expect(longer.capacity.speed).toBeLessThanOrEqual(longer.capacity.speedBound);
    for (const { speed } of longer.asked) expect(speed).toBeLessThanOrEqual(1.2 * longer.capacity.speedBound);
  });
});
