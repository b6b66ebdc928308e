// A cluster in virtual time: figures calculated by hand, conservation laws, effects of failures and delays.

import { describe, expect, it } from 'vitest';
import { parsePolicySpec, type RunSpec, runSpecDefaults, simulate, toJson } from '../../src/lab/index.ts';
import { resultOf } from '../../src/lab/run-result.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';
import { countContents, KvEventMirror } from '../model/kv-event-mirror.ts';
import { workloadOf } from './workloads.ts';

function specOf(policy: string, more: Partial<RunSpec> = {}): RunSpec {
  return { ...runSpecDefaults, policy: parsePolicySpec(policy), warmupShare: 0, ...more };
}

describe('one worker, calculated by hand', () => {
  // Step times of the profile: a prefill of n tokens from 0 takes gemm(n) + 524,288 x n^2 / 2 / 180e9 + 3 ms.
  const attentionMs = (tokens: number, start: number): number => (524_288 * tokens * (start + tokens / 2)) / 180e9;
  const kvMs = (contextTokens: number): number => (contextTokens * 131_072) / 680e6;
  const ns = (ms: number): number => Math.round(ms * 1e6);

  it('gives an idle worker the exact TTFT and token gaps', () => {
    const { log, endNs } = simulate(workloadOf([{ atMs: 5, isl: 3000, osl: 3 }]), specOf('kv', { workers: 1 }));
    // Two chunks, 2,048 and 952 tokens; gemm(952) lies between its values at 512 and 1,024.
    const first = ns(0.0595 * 2048 + attentionMs(2048, 0) + 3);
    const second = ns(30.8 + ((60.928 - 30.8) * (952 - 512)) / 512 + attentionMs(952, 2048) + 3);
    const decodes = [3001, 3002].map((context) => ns(19 + 0.026 + kvMs(context) + 3));
    expect(log.arrivalNs[0]).toBe(5e6);
    expect(log.firstTokenNs[0]! - 5e6).toBe(first + second);
    expect(endNs - log.firstTokenNs[0]!).toBe(decodes[0]! + decodes[1]!);
    expect(log.tpotMs(0, 3)).toBe((decodes[0]! + decodes[1]!) / 2e6);
    expect(log.gapsMs.mean).toBeCloseTo((decodes[0]! + decodes[1]!) / 2e6, 9);
  });

  it('lets regular arrivals wait for the current step, and decodes share the next one', () => {
    // 64 tokens each, 10 ms apart, while a step takes more than 20 ms.
    const requests = [0, 10, 20].map((atMs) => ({ atMs, isl: 64, osl: 2 }));
    const { log } = simulate(workloadOf(requests), specOf('kv', { workers: 1 }));
    const step1 = ns(19 + 0.026 * 64 + attentionMs(64, 0) + 3);
    // The first one decodes while the two others are computed: 129 tokens in one step.
    const step2 = ns(19 + 0.026 * 129 + 2 * attentionMs(64, 0) + kvMs(65) + 3);
    const step3 = ns(19 + 0.026 * 2 + kvMs(130) + 3);
    expect([...log.firstTokenNs]).toEqual([step1, step1 + step2, step1 + step2]);
    expect([...log.lastTokenNs]).toEqual([step1 + step2, step1 + step2 + step3, step1 + step2 + step3]);
    expect(log.ttftMs(1)).toBe((step1 + step2 - 10e6) / 1e6);
  });

  it('computes only tokens that are not cached, and at least one', () => {
    const shared = { isl: 64, osl: 1, ids: [0, 1, 2, 3] };
    const { log } = simulate(workloadOf([0, 100].map((atMs) => ({ atMs, ...shared }))), specOf('kv', { workers: 1 }));
    expect([...log.cachedTokens]).toEqual([0, 48]);
    expect([...log.predictedTokens]).toEqual([0, 48]);
    expect(log.firstTokenNs[1]! - 100e6).toBe(ns(19 + 0.026 * 16 + attentionMs(16, 48) + 3));
  });
});

describe('conservation', () => {
  const policies = ['kv', 'round-robin', 'lmetric', 'kv:credit=off:event-delay-ms=40', 'kv:book-delay-ms=3'];

  it.each(policies)('computed and cached tokens add up to the prompts; nothing stays booked: %s', (policy) => {
    const workload = generateWorkload('multi-turn', 3, { requests: 250, ratePerS: 9 });
    const { log, engines, router } = simulate(workload, specOf(policy, { workers: 4 }));
    let isl = 0;
    let cached = 0;
    for (const [index, request] of workload.requests.entries()) {
      expect(log.fate(index)).toBe('done');
      isl += request.isl;
      cached += log.cachedTokens[index]!;
    }
    const totals = engines.map((engine) => engine.counters);
    const sum = (of: (counters: (typeof totals)[number]) => number): number =>
      totals.reduce((all, one) => all + of(one), 0);
    expect(sum(({ preemptions }) => preemptions)).toBe(0);
    expect(sum(({ prefillTokens }) => prefillTokens) + cached).toBe(isl);
    expect(sum(({ cachedPromptTokens }) => cachedPromptTokens)).toBe(cached);
    expect(cached).toBeGreaterThan(0);
    const outputTokens = workload.requests.reduce((all, { osl }) => all + osl, 0);
    expect(sum((counters) => counters.outputTokens)).toBe(outputTokens);
    expect(log.gapsMs.count).toBe(outputTokens - workload.requests.length);
    expect(router.liveBookings).toBe(0);
    for (const load of router.loads()) {
      expect([load.activeBlocks, load.activePrefillTokens, load.runningRequests]).toEqual([0, 0, 0]);
    }
    router.assertConsistent();
  });

  it('replayed events give the content of each pool after every step, evictions included', () => {
    const workload = generateWorkload('b2b-150x5', 5, { requests: 60, ratePerS: 20 });
    const mirrors = Array.from({ length: 2 }, () => new KvEventMirror(64, true));
    let removed = 0;
    simulate(
      workload,
      specOf('kv', { workers: 2, blockSize: 64, kvTokens: 40_000 }),
      {},
      {
        onStep: (worker, step, engine) => {
          mirrors[worker]!.apply(step.events);
          removed += step.events.filter(({ kind }) => kind === 'removed').length;
          expect(mirrors[worker]!.copies).toEqual(countContents(engine.cachedContents()));
        },
      },
    );
    expect(removed).toBeGreaterThan(50);
  });

  it('the router knows the content of each pool after every step', () => {
    const workload = generateWorkload('zipf', 5, { requests: 120, ratePerS: 12 });
    const { router, engines } = simulate(workload, specOf('kv', { workers: 3, kvTokens: 60_000 }));
    const distinct = engines.map((engine) => countContents(engine.cachedContents()).size);
    expect(router.loads().map(({ heldBlocks }) => heldBlocks)).toEqual(distinct);
  });
});

describe('the order of events', () => {
  it('processes every arrival of an instant before an idle engine starts', () => {
    const requests = [0, 0, 0, 0].map((atMs) => ({ atMs, isl: 64, osl: 1 }));
    const { engines, log } = simulate(workloadOf(requests), specOf('kv', { workers: 1 }));
    expect(engines[0]!.counters.steps).toBe(1);
    expect(new Set(log.firstTokenNs).size).toBe(1);
  });

  it("dependent requests arrive a think time after their predecessor's end", () => {
    const workload = workloadOf([
      { atMs: 0, isl: 32, osl: 4 },
      { atMs: 50, isl: 64, osl: 1, after: { request: 0, thinkMs: 250 } },
    ]);
    const { log } = simulate(workload, specOf('kv'));
    expect(log.arrivalNs[1]).toBe(log.lastTokenNs[0]! + 250e6);
  });

  it('a closed loop keeps its number in flight, and latencies count from the sending', () => {
    const workload = workloadOf(
      [0, 0, 0].map((atMs) => ({ atMs, isl: 32, osl: 2 })),
      { concurrencyMax: 1 },
    );
    const { log } = simulate(workload, specOf('kv'));
    expect(log.arrivalNs[1]).toBe(log.lastTokenNs[0]);
    expect(log.arrivalNs[2]).toBe(log.lastTokenNs[1]);
    expect(log.ttftMs(2)).toBe(log.ttftMs(0));
  });

  it('a request that no worker can hold fails, and its followers continue', () => {
    const workload = workloadOf([
      { atMs: 0, isl: 300, osl: 30 },
      { atMs: 10, isl: 32, osl: 2, after: { request: 0, thinkMs: 5 } },
    ]);
    const spec = specOf('kv', { kvTokens: 320 });
    const simulated = simulate(workload, spec);
    expect([simulated.log.fate(0), simulated.log.fate(1)]).toEqual(['too-long', 'done']);
    expect(simulated.router.liveBookings).toBe(0);
    const { measured } = resultOf(workload, spec, simulated);
    expect(measured).toMatchObject({ requests: 2, failed: 1, good: 1, goodShare: 0.5 });
    expect(measured.ttftMs.p99).toBeNull();
    expect(measured.ttftMs.mean).toBeGreaterThan(0);
  });

  it('late booking sends later and hides the load of a burst', () => {
    const burst = workloadOf(Array.from({ length: 8 }, () => ({ atMs: 0, isl: 512, osl: 1, ids: [0, 1] })));
    const at = simulate(burst, specOf('kv'));
    const late = simulate(burst, specOf('kv:book-delay-ms=2'));
    const turns = simulate(burst, specOf('round-robin:book-delay-ms=2'));
    const spread = ({ log }: typeof at): number => new Set(log.worker).size;
    expect([spread(at), spread(turns)]).toEqual([8, 8]);
    // Without any load all eight workers are equal, so only the draw among them spreads the requests.
    expect(spread(late)).toBeLessThan(8);
    expect(late.log.ttftMs(0)).toBeGreaterThanOrEqual(at.log.ttftMs(0) + 2);
    expect(late.router.liveBookings).toBe(0);
  });

  it('late events hide blocks until they arrive', () => {
    const again = workloadOf([0, 400].map((atMs) => ({ atMs, isl: 64, osl: 1, ids: [0, 1, 2] })));
    const predicted = (policy: string): number => simulate(again, specOf(policy)).log.predictedTokens[1]!;
    expect(predicted('kv:credit=off')).toBe(48);
    expect(predicted('kv:credit=off:event-delay-ms=1000')).toBe(0);
  });

  it('stops as soon as too many requests missed the SLO', () => {
    const workload = generateWorkload('pr1731-fixed', 1, { requests: 400, ratePerS: 60 });
    const whole = simulate(workload, specOf('round-robin'));
    const stopped = simulate(workload, specOf('round-robin'), { missesMax: 20 });
    expect([whole.stoppedEarly, stopped.stoppedEarly]).toEqual([false, true]);
    expect(stopped.endNs).toBeLessThan(whole.endNs / 2);
  });
});

it('gives the same bytes for the same seed, and others for another', () => {
  const bytes = (seed: number): string => {
    const workload = generateWorkload('gsp-zipf', seed, { requests: 150 });
    const spec = specOf('kv:form=1731:temperature=0.5', { seed });
    return JSON.stringify(resultOf(workload, spec, simulate(workload, spec)));
  };
  expect(bytes(1)).toBe(bytes(1));
  expect(bytes(1)).not.toBe(bytes(2));
});

it('puts the whole spec into the result', () => {
  const workload = workloadOf([{ atMs: 0, isl: 64, osl: 2 }]);
  const spec = specOf('kv:overlap-weight=2');
  expect(resultOf(workload, spec, simulate(workload, spec)).spec).toEqual(toJson(spec));
});
