// The bounds: examples calculated by hand, and no simulated policy beats them.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { infiniteCacheTokens } from '../../src/lab/hit-ceiling.ts';
import { parsePolicySpec, type RunSpec, runSpecDefaults, simulate, speedBound } from '../../src/lab/index.ts';
import { prefillWorkMs, shortestRemainingFirstMs, workFloor } from '../../src/lab/latency-bound.ts';
import { resultOf } from '../../src/lab/run-result.ts';
import { engineOptions } from '../../src/lab/run-spec.ts';
import { soloPrefillNs, ttftLimitNs } from '../../src/lab/slo.ts';
import { generateWorkload, type WorkloadName } from '../../src/trace/generate-workload.ts';
import { workloadOf } from './workloads.ts';

const timing = engineOptions(runSpecDefaults);

describe('infiniteCacheTokens', () => {
  it('counts whole engine blocks of earlier content, and never the whole prompt', () => {
    const workload = workloadOf(
      [
        { atMs: 0, isl: 40, osl: 1, ids: [0, 1, 2] },
        { atMs: 1, isl: 70, osl: 1, ids: [0, 1, 3, 4] },
        { atMs: 2, isl: 32, osl: 1, ids: [0, 1] },
        { atMs: 3, isl: 90, osl: 1, ids: [0, 1, 3, 4] },
      ],
      { contentBlockTokens: 16 },
    );
    expect([...infiniteCacheTokens(workload, 16)]).toEqual([0, 32, 16, 64]);
    expect([...infiniteCacheTokens(workload, 48)]).toEqual([0, 0, 0, 48]);
  });
});

describe('the lower bound of TTFT', () => {
  it('of a single prompt is the sum of its steps', () => {
    // 4,096 tokens: two steps of 2,048, from 0 and from 2,048, as in the table of the engine's profile.
    expect(soloPrefillNs(timing, 4096, 0) / 1e6).toBeCloseTo(274.1, 1);
    expect(soloPrefillNs(timing, 4096, 3072) / 1e6).toBeCloseTo(74.6, 1);
    expect(ttftLimitNs(runSpecDefaults.slo, timing, 4096) / 1e6).toBeCloseTo(1000 + 2 * 274.1, 0);
  });

  it('serves the least remaining work first', () => {
    // Job 1 (4 ms) is interrupted at 1 ms by job 2 (1 ms), continues 2..3, is interrupted by job 3 (1 ms), ends at 6.
    const jobs = [
      { arrivalMs: 0, workMs: 4 },
      { arrivalMs: 1, workMs: 1 },
      { arrivalMs: 3, workMs: 1 },
      { arrivalMs: 20, workMs: 2 },
    ];
    expect(shortestRemainingFirstMs(jobs)).toBe((6 + 1 + 1 + 2) / 4);
  });

  it('is the best of all orders of a few simultaneous jobs', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }), (works) => {
        const sorted = [...works].sort((a, b) => a - b);
        let nowMs = 0;
        let totalMs = 0;
        for (const workMs of sorted) totalMs += nowMs += workMs;
        const jobs = works.map((workMs) => ({ arrivalMs: 0, workMs }));
        expect(shortestRemainingFirstMs(jobs)).toBeCloseTo(totalMs / works.length, 9);
      }),
    );
  });

  it('charges no more for work than the cheapest step', () => {
    const floor = workFloor(timing);
    expect(floor.msPerToken).toBeCloseTo((0.0595 * 2048 + 3) / 2048, 4);
    expect(floor.msPerPair).toBeCloseTo(524_288 / 180e9, 12);
    expect(floor.msPerContextToken).toBeCloseTo(131_072 / 680e6, 12);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.nat({ max: 19_999 }), (isl, cached) => {
        const held = Math.min(cached, isl - 1);
        expect(prefillWorkMs(floor, isl, held)).toBeLessThanOrEqual(soloPrefillNs(timing, isl, held) / 1e6 + 1e-5);
      }),
    );
  });

  const cells: [WorkloadName, number, string][] = [
    ['pr1731-fixed', 18, 'round-robin'],
    ['gsp-64x16', 1, 'kv'],
    ['tool-like', 4, 'what-if'],
    ['zipf', 30, 'lmetric'],
  ];

  it.each(cells)('%s at %d/s: no better under %s, and no more hits than the ceiling', (name, ratePerS, policy) => {
    const isBurst = name === 'gsp-64x16';
    const workload = generateWorkload(name, 4, { requests: 400, ...(isBurst ? {} : { ratePerS }) });
    const spec: RunSpec = { ...runSpecDefaults, policy: parsePolicySpec(policy) };
    const { bounds, measured, cache } = resultOf(workload, spec, simulate(workload, spec));
    expect(bounds.ttftMeanMs).toBeGreaterThan(0);
    expect(measured.ttftMs.mean!).toBeGreaterThanOrEqual(bounds.ttftMeanMs);
    expect(cache.hitRate!).toBeLessThanOrEqual(cache.ceiling!);
    expect(cache.pooledLru!).toBeLessThanOrEqual(cache.ceiling!);
    expect(cache.ceilingReached!).toBeCloseTo(cache.hitRate! / cache.ceiling!, 5);
  });
});

describe('the upper bound of the rate', () => {
  it('fills the time of all workers with work', () => {
    const workload = workloadOf([0, 1000].map((atMs) => ({ atMs, isl: 2048, osl: 1 })));
    const floor = workFloor(timing);
    const spec = { ...runSpecDefaults, workers: 4 };
    expect(speedBound(workload, spec)).toBeCloseTo((4 * 1000) / (2 * prefillWorkMs(floor, 2048, 0)), 9);
    expect(speedBound(workloadOf([{ atMs: 0, isl: 16, osl: 1 }]), spec)).toBe(Number.POSITIVE_INFINITY);
  });
});
