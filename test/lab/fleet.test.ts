// Fleets of different engines, and a worker that is slow for a while.

import { describe, expect, it } from 'vitest';
import { slowTimeOf } from '../../src/lab/fleet.ts';
import { fleetKvTokens, fleetTiming, toldSpeeds, workerEngineOptions } from '../../src/lab/fleet-engines.ts';
import { fleetTables, settledAfterS } from '../../src/lab/fleet-tables.ts';
import {
  type Fleet,
  parsePolicySpec,
  type RunResult,
  type RunSpec,
  runSpecDefaults,
  simulate,
} from '../../src/lab/index.ts';
import { resultOf } from '../../src/lab/run-result.ts';
import { formatTable } from '../../src/report/text-table.ts';
import { engineProfileNames, engineProfiles } from '../../src/sim/index.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';
import { workloadOf } from './workloads.ts';

function specOf(policy: string, fleet: Fleet | null, more: Partial<RunSpec> = {}): RunSpec {
  const known = fleet === null ? {} : { fleet };
  return { ...runSpecDefaults, policy: parsePolicySpec(policy), workers: 4, warmupShare: 0, ...known, ...more };
}

/** One request a worker under round robin, one after another. */
const inTurn = workloadOf(Array.from({ length: 8 }, (_, i) => ({ atMs: 2000 * i, isl: 2048, osl: 3 })));

const run = (workload: typeof inTurn, spec: RunSpec) => resultOf(workload, spec, simulate(workload, spec));

describe('a fleet of different engines', () => {
  const fleet: Fleet = { speeds: [1, 0.5], kvTokens: [64_000, 32_000] };

  it('assigns speeds and capacities to the workers cyclically', () => {
    const { log, engines } = simulate(inTurn, specOf('round-robin', fleet));
    const ttfts = Array.from({ length: 4 }, (_, request) => log.ttftMs(request));
    expect(ttfts[0]).toBeCloseTo(130.96 - 0.1, 0);
    expect(ttfts[1]! / ttfts[0]!).toBeCloseTo(2, 5);
    expect([ttfts[2], ttfts[3]]).toEqual([ttfts[0], ttfts[1]]);
    expect(engines.map(({ contextTokensMax }) => contextTokensMax)).toEqual([64_000, 32_000, 64_000, 32_000]);
  });

  it('has the results of equal workers if all are equal', () => {
    const workload = generateWorkload('zipf', 2, { requests: 120, ratePerS: 12 });
    const plain = run(workload, specOf('kv', null));
    const { spec, ...rest } = run(workload, specOf('kv', { speeds: [1], kvTokens: [186_000] }));
    expect(rest).toEqual({ ...plain, spec: undefined, ...rest, measured: plain.measured, workers: plain.workers });
    expect(spec.fleet).toEqual({ speeds: [1], kvTokens: [186_000] });
  });

  it('gives the same bytes for the same seed, on every profile', () => {
    const workload = generateWorkload('documents', 2, { requests: 150, ratePerS: 4 });
    for (const profile of engineProfileNames) {
      const { kvTokens, stepTokensMax, sequencesMax } = engineProfiles[profile];
      const spec = specOf('foresee', { speeds: [1, 0.5] }, { profile, kvTokens, stepTokensMax, sequencesMax });
      const [first, second] = [run(workload, spec), run(workload, spec)];
      expect(JSON.stringify(first)).toBe(JSON.stringify(second));
      expect(first.measured.failed).toBe(0);
      expect(first.measured.ttftMs.mean!).toBeGreaterThanOrEqual(first.bounds.ttftMeanMs);
    }
  });

  it('has bounds of the total speed: workers of speeds 1, 0.5, 1, 0.5 count as 3 of the fastest', () => {
    const { fastest, workers } = fleetTiming(specOf('kv', { speeds: [0.5, 1] }));
    expect(workers).toBe(3);
    expect(fastest.stepTime).toBe(workerEngineOptions(specOf('kv', null), 0).stepTime);
    expect(fleetKvTokens(specOf('kv', fleet))).toBe(192_000);
    const workload = generateWorkload('zipf', 1, { requests: 200, ratePerS: 12 });
    const { bounds, measured } = run(workload, specOf('what-if:told=on', { speeds: [1, 0.5] }));
    expect(measured.ttftMs.mean!).toBeGreaterThan(bounds.ttftMeanMs);
  });

  it('sends no request to a worker that cannot hold it', () => {
    const long = workloadOf(Array.from({ length: 12 }, (_, i) => ({ atMs: i * 10, isl: 40_000, osl: 2 })));
    const { measured, workers } = run(long, specOf('random', fleet));
    expect(measured.failed).toBe(0);
    expect(workers.each.map(({ requests }) => requests > 0)).toEqual([true, false, true, false]);
    const none = run(long, specOf('random', { kvTokens: [32_000, 16_000] }));
    expect(none.measured.failed).toBe(12);
  });

  it("reports each worker's requests, TTFT and prefill tokens", () => {
    const { each } = run(inTurn, specOf('round-robin', fleet)).workers;
    expect(each.map(({ speed, kvTokens, requests }) => [speed, kvTokens, requests])).toEqual([
      [1, 64_000, 2],
      [0.5, 32_000, 2],
      [1, 64_000, 2],
      [0.5, 32_000, 2],
    ]);
    expect(each[1]!.ttftMs.mean! / each[0]!.ttftMs.mean!).toBeCloseTo(2, 5);
    expect(each.map(({ prefillTokens }) => prefillTokens)).toEqual([4096, 4096, 4096, 4096]);
  });

  it('reveals its speeds only under told=on, which lowers the TTFT', () => {
    const workload = generateWorkload('prefix-free', 1, { requests: 300, ratePerS: 10 });
    const ttftMs = (policy: string): number =>
      run(workload, specOf(policy, { speeds: [1, 0.25] })).measured.ttftMs.mean!;
    expect(ttftMs('what-if:told=on')).toBeLessThan(0.9 * ttftMs('what-if'));
    expect(toldSpeeds(specOf('what-if', { speeds: [1, 0.25] })).speeds).toEqual([1, 1, 1, 1]);
    expect(toldSpeeds(specOf('what-if:told=on', { speeds: [1, 0.25] })).speeds).toEqual([1, 0.25, 1, 0.25]);
  });

  it("gives the profile's step times in the units of the policies", () => {
    const { engine } = toldSpeeds(specOf('what-if:told=on', null, { profile: 'l40s-llama8b-analytic' }));
    expect(engine!.gemmMs(2048)).toBeCloseTo(162.75 - 2.76e-6 * 2048 * 1024.5, 0);
    expect(engine!.attentionMsPerPair).toBeCloseTo(2.76e-6, 8);
    expect(engine!.kvReadMsPerToken).toBeCloseTo(0.197e-3, 6);
    expect(toldSpeeds(specOf('what-if:told=on', null)).engine).toBeUndefined();
  });
});

describe('a slow-down', () => {
  const slowDown = { worker: 1, from: 0.25, until: 0.75, factor: 10 };

  it('lasts for its share of the arrivals', () => {
    expect(slowTimeOf(inTurn, slowDown)).toEqual({ worker: 1, fromNs: 3.5e9, untilNs: 10.5e9, factor: 10 });
    expect(slowTimeOf(workloadOf([{ atMs: 5, isl: 16, osl: 1 }]), slowDown)).toBeNull();
    expect(slowTimeOf(inTurn, undefined)).toBeNull();
  });

  it("stretches only that worker's steps that begin within it", () => {
    // Worker 1 gets the requests at 2 s (before the slow-down) and at 10 s (within).
    const { log } = simulate(inTurn, specOf('round-robin', { slowDown }));
    const plain = simulate(inTurn, specOf('round-robin', null)).log;
    const factors = Array.from({ length: 8 }, (_, request) => log.ttftMs(request) / plain.ttftMs(request));
    for (const [request, factor] of factors.entries()) expect(factor).toBeCloseTo(request === 5 ? 10 : 1, 5);
    // Its later steps begin after the recovery at 10.5 s.
    expect(log.e2eMs(5) - log.ttftMs(5)).toBeCloseTo(plain.e2eMs(5) - plain.ttftMs(5), 5);
  });

  it('has figures before, during and after it, and its settling', () => {
    const workload = generateWorkload('prefix-free', 1, { requests: 600, ratePerS: 8 });
    const { slowDown: figures, ttftOverTime } = run(workload, specOf('round-robin', { slowDown }));
    expect(figures!.during.p99!).toBeGreaterThan(5 * figures!.before.p99!);
    expect(figures!.settling[0]).toMatchObject({ afterS: 0, p99Ms: figures!.during.p99 });
    expect(figures!.settling.at(-1)!.afterS).toBeLessThan(figures!.untilS - figures!.fromS);
    expect(ttftOverTime.requests.reduce((sum, count) => sum + count)).toBe(600);
    const slowest = ttftOverTime.p99Ms.indexOf(Math.max(...ttftOverTime.p99Ms.map((ms) => ms!)));
    const slowestS = ttftOverTime.startS + slowest * ttftOverTime.windowS;
    expect(slowestS).toBeGreaterThan(figures!.fromS);
    expect(run(workload, specOf('round-robin', null)).slowDown).toBeNull();
  });

  it('sends nothing to a drained worker until its recovery', () => {
    const workload = generateWorkload('prefix-free', 1, { requests: 600, ratePerS: 8 });
    const spec = specOf('round-robin:slow-worker=drained', { slowDown });
    const { log } = simulate(workload, spec);
    const slow = slowTimeOf(workload, slowDown)!;
    const placed = [0, 0, 0];
    for (let request = 0; request < 600; request++) {
      if (log.worker[request] !== 1) continue;
      const at = log.arrivalNs[request]!;
      placed[at < slow.fromNs ? 0 : at < slow.untilNs ? 1 : 2]!++;
    }
    expect(placed[1]).toBe(0);
    expect(placed[0]).toBeGreaterThan(20);
    expect(placed[2]).toBeGreaterThan(20);
    const drained = run(workload, spec).slowDown!;
    expect(drained.during.p99!).toBeLessThan(run(workload, specOf('round-robin', { slowDown })).slowDown!.during.p99!);
  });
});

describe('the tables of a fleet', () => {
  const slowDown = { worker: 1, from: 0.25, until: 0.75, factor: 10 };
  const workload = generateWorkload('prefix-free', 1, { requests: 600, ratePerS: 8 });
  const rowsOf = (fleet: Fleet | null) =>
    fleetTables(
      ['round-robin', 'round-robin:slow-worker=drained'].map((policy) => ({
        policy,
        runs: [run(workload, specOf(policy, fleet))],
      })),
    ).map(({ columns, rows }) => {
      expect(formatTable(columns, rows)).toHaveLength(3 + rows.length);
      return rows;
    });

  it('are omitted for equal workers, and have one row per kind of worker', () => {
    expect(rowsOf(null)).toEqual([]);
    const [kinds, ...none] = rowsOf({ speeds: [1, 0.5], kvTokens: [64_000] });
    expect(none).toEqual([]);
    expect(kinds!.slice(0, 2).map((row) => row.slice(0, 3))).toEqual([
      ['round-robin', '2 of speed 1, 64,000 KV tokens', '150'],
      ['round-robin', '2 of speed 0.5, 64,000 KV tokens', '150'],
    ]);
  });

  it('show when a policy was back at 1.2 x the p99 of a fleet without the slow worker', () => {
    const [kinds, settling] = rowsOf({ slowDown });
    expect(kinds!.map((row) => row[1])).toContain('1 of speed 1, slow for a while');
    const [kept, drained] = settling!;
    expect(kept!.at(-1)).toBe('no');
    expect(kept![4]).toBe(drained![2]);
    const result = run(workload, specOf('round-robin', { slowDown }));
    // The shortest time after which the rest of the slow-down is steady enough.
    const madeOf = (before: number, p99s: readonly number[]): RunResult => {
      const settling = p99s.map((p99Ms, afterS) => ({ afterS, requests: 100, p99Ms }));
      const { slowDown: figures } = result;
      return { ...result, slowDown: { ...figures!, before: { ...figures!.before, p99: before }, settling } };
    };
    const p99s = [900, 700, 500, 640, 400];
    expect([750, 600, 500, 400, 300].map((before) => settledAfterS(madeOf(before, p99s), null))).toEqual([
      0,
      1,
      2,
      4,
      null,
    ]);
    expect(settledAfterS(madeOf(1, p99s), madeOf(1, [700, 590, 400, 300, 300]))).toBe(1);
  });
});

describe('events=none', () => {
  it("predicts hits by the router's own decisions", () => {
    const workload = generateWorkload('zipf', 1, { requests: 300, ratePerS: 10 });
    const { router } = simulate(workload, specOf('kv:events=none', null));
    expect(router.load(0).source).toBe('approximate');
    const [known, assumed, blind] = ['kv', 'kv:events=none', 'round-robin'].map(
      (policy) => run(workload, specOf(policy, null)).cache.hitRate!,
    );
    expect(assumed!).toBeGreaterThan(0.8 * known!);
    expect(assumed!).toBeGreaterThan(blind!);
  });
});
