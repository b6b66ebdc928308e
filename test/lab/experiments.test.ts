// Jobs, the capacity search, paired ratios, tables and pages.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CapacitySearch,
  executeJob,
  missesMax,
  type PolicyRuns,
  type ProbeResult,
  pairedTtftRatio,
  parsePolicySpec,
  poolProbes,
  type RunResult,
  reportPage,
  resultTable,
  runSpecDefaults,
  summaryGroups,
  summaryTable,
  toJson,
} from '../../src/lab/index.ts';
import { formatTable } from '../../src/report/text-table.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

/** Runs the search to its end. @returns the tried rates in order */
function searched(search: CapacitySearch, isGood: (rate: number) => boolean): number[] {
  const asked: number[] = [];
  for (let rate = search.next; rate !== null; rate = search.next) {
    asked.push(rate);
    search.tell(rate, isGood(rate));
  }
  return asked;
}

describe('CapacitySearch', () => {
  it('finds both sides of the edge of a monotone condition, a quarter of a step apart', () => {
    const share = fc.double({ min: 0.02, max: 0.99, noNaN: true });
    const top = fc.double({ min: 0.01, max: 1000, noNaN: true });
    fc.assert(
      fc.property(share, top, (share, top) => {
        const search = new CapacitySearch(top);
        const asked = searched(search, (rate) => rate <= share * top);
        expect(search.low).toBeLessThanOrEqual(share * top);
        expect(search.high!).toBeGreaterThan(share * top);
        expect(search.high! / search.low).toBeLessThanOrEqual(CapacitySearch.resolution * (1 + 1e-6));
        expect(Math.max(...asked)).toBe(top);
      }),
    );
  });

  it('reports a range if the condition holds, fails, holds again and fails for good', () => {
    const isGood = (rate: number): boolean => rate < 19.9 || (rate > 24 && rate < 30);
    const search = new CapacitySearch(38.7);
    searched(search, isGood);
    expect(search.low).toBeGreaterThan(19.9 / CapacitySearch.resolution ** 1.01);
    expect(search.low).toBeLessThan(19.9);
    expect(search.high).toBeGreaterThan(30);
    expect(search.high).toBeLessThan(30 * CapacitySearch.resolution ** 1.01);
  });

  it('puts every tried rate on one side of the range', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 80 }), (outcomes) => {
        let at = 0;
        const told = new Map<number, boolean>();
        const search = new CapacitySearch(1);
        searched(search, (rate) => {
          const met = outcomes[at++ % outcomes.length]!;
          told.set(rate, met);
          return met;
        });
        expect(at).toBeLessThanOrEqual(CapacitySearch.asksMax);
        for (const [rate, met] of told) {
          if (rate <= search.low) expect(met).toBe(true);
          if (search.high !== null && rate >= search.high) expect(met).toBe(false);
        }
      }),
    );
  });

  it('withdraws a rate that a longer run refutes, and continues from there', () => {
    const search = new CapacitySearch(1);
    searched(search, (rate) => rate < 0.7);
    const before = search.low;
    search.tell(before, false);
    searched(search, (rate) => rate < 0.7);
    expect(search.low).toBeLessThan(before);
    expect(search.low).toBeGreaterThan(0.5);
  });

  it('gives up if no rate meets the condition, and never exceeds the top', () => {
    const none = new CapacitySearch(1);
    expect(searched(none, () => false).length).toBeLessThan(CapacitySearch.asksMax);
    expect([none.low, none.high! < 0.011]).toEqual([0, true]);
    const all = new CapacitySearch(1);
    expect(searched(all, () => true)).toHaveLength(CapacitySearch.calmRates);
    expect([all.low, all.high]).toEqual([1, null]);
    expect(() => new CapacitySearch(0)).toThrow(RangeError);
    expect(() => new CapacitySearch(1, 1)).toThrow(RangeError);
  });
});

const workload = generateWorkload('zipf', 1, { requests: 300, ratePerS: 10 });
const specOf = (policy: string) => toJson({ ...runSpecDefaults, policy: parsePolicySpec(policy), workers: 4 });

describe('executeJob', () => {
  it('gives the verdict of a whole run', () => {
    for (const speed of [0.5, 3]) {
      const run = executeJob({ kind: 'run', spec: specOf('kv'), speed }, workload);
      const { requests: measured } = run.measured;
      const probe = executeJob(
        { kind: 'probe', spec: specOf('kv'), speed, missesMax: missesMax(measured, 1) },
        workload,
      );
      expect(probe.stoppedEarly).toBe(run.measured.goodShare! < 0.95);
      expect(probe.stoppedEarly).toBe(speed === 3);
      if (probe.stoppedEarly) continue;
      expect(probe).toMatchObject({ requests: 300, measured, good: run.measured.good });
      expect(probe.ttftSumMs / measured).toBeCloseTo(run.measured.ttftMs.mean!, 2);
      const [first, second] = probe.halves;
      expect([first.done, second.done]).toEqual([measured / 2, measured / 2]);
      expect((first.e2eMs + second.e2eMs) / measured).toBeCloseTo(run.measured.e2eMs.mean!, 1);
    }
  });
});

describe('poolProbes', () => {
  const half = (e2eMs: number) => ({ done: 50, e2eMs, outputTokens: 5000 });
  const probe = (good: number, more: Partial<ProbeResult> = {}): ProbeResult => ({
    speed: 2,
    requests: 110,
    measured: 100,
    stoppedEarly: false,
    good,
    ttftSumMs: 20_000,
    spanMs: 300_000,
    halves: [half(500_000), half(500_000)],
    ...more,
  });

  it('judges the requests of all seeds together', () => {
    // 86 + 100 + 100 of 300 are 95.3 %, 84 + 100 + 100 are 94.7 %.
    expect(poolProbes([probe(86), probe(100), probe(100)])).toEqual({
      speed: 2,
      requests: 110,
      verdict: 'good',
      goodShare: 286 / 300,
      ttftMeanMs: 200,
      spanOverE2e: 30,
      slowdown: 1,
    });
    expect(poolProbes([probe(84), probe(100), probe(100)])).toMatchObject({ verdict: 'missed', goodShare: 284 / 300 });
    expect(poolProbes([probe(100), probe(0, { stoppedEarly: true })])).toMatchObject({
      verdict: 'missed',
      goodShare: null,
    });
    // A single seed may have all the misses that the seeds may have together.
    expect(missesMax(100, 3)).toBe(15);
  });

  it('does not call a run good that slows down or is too short', () => {
    const slower = probe(100, { halves: [half(400_000), half(520_000)] });
    expect(poolProbes([slower])).toMatchObject({ verdict: 'slows', slowdown: 1.3 });
    expect(poolProbes([slower, probe(100)])).toMatchObject({ verdict: 'good' });
    expect(poolProbes([probe(100, { spanMs: 90_000 })])).toMatchObject({ verdict: 'short', spanOverE2e: 9 });
    const oneHalf = probe(100, { halves: [{ done: 0, e2eMs: 0, outputTokens: 0 }, half(500_000)] });
    expect(poolProbes([oneHalf])).toMatchObject({ verdict: 'short', slowdown: null });
    const nobody = { done: 0, e2eMs: 0, outputTokens: 0 };
    expect(poolProbes([probe(0, { halves: [nobody, nobody], measured: 0, ttftSumMs: 0 })]).verdict).toBe('missed');
  });
});

const rows: PolicyRuns[] = ['round-robin', 'kv', 'lmetric'].map((policy) => ({
  policy,
  runs: [executeJob({ kind: 'run', spec: specOf(policy), speed: 1 }, workload)],
}));

describe('pairedTtftRatio', () => {
  const [base, kv] = [rows[0]!, rows[1]!];

  it('is the ratio of the means, inside its interval', () => {
    const { ratio, interval } = pairedTtftRatio(kv.runs, base.runs)!;
    expect(ratio).toBeCloseTo(kv.runs[0]!.measured.ttftMs.mean! / base.runs[0]!.measured.ttftMs.mean!, 5);
    expect(interval!.low).toBeLessThan(ratio);
    expect(interval!.high).toBeGreaterThan(ratio);
    expect(pairedTtftRatio(base.runs, base.runs)).toEqual({ ratio: 1, interval: { low: 1, high: 1 } });
  });

  it('does not gain certainty from replaying a trace with more seeds, but from generating more', () => {
    const times = (runs: readonly RunResult[], recorded: boolean): RunResult[] =>
      Array.from({ length: 9 }, () => ({ ...runs[0]!, workload: { ...runs[0]!.workload, recorded } }));
    const width = (recorded: boolean): number => {
      const { low, high } = pairedTtftRatio(times(kv.runs, recorded), times(base.runs, recorded))!.interval!;
      return high - low;
    };
    const { low, high } = pairedTtftRatio(kv.runs, base.runs)!.interval!;
    expect(width(true)).toBeCloseTo(high - low, 12);
    expect(width(false)).toBeLessThan((high - low) / 2);
  });

  it('has no interval and no NaN if hardly any request ended', () => {
    const failing = (stretches: number): RunResult => {
      const run = rows[0]!.runs[0]!;
      const { sumMs, requests } = run.ttftBlocks;
      const kept = (column: readonly number[]): number[] => column.map((value, at) => (at < stretches ? value : 0));
      return { ...run, ttftBlocks: { sumMs: kept(sumMs), requests: kept(requests) } };
    };
    expect(pairedTtftRatio([failing(1)], [failing(2)])!.interval).toBeNull();
    expect(pairedTtftRatio([failing(0)], rows[0]!.runs)).toBeNull();
    expect(pairedTtftRatio([failing(16)], rows[0]!.runs)!.interval!.high).toBeLessThan(10);
  });
});

describe('resultTable and reportPage', () => {
  it('show every policy, with ratios to the reference', () => {
    const { columns, rows: cells } = resultTable(rows, 'round-robin');
    expect(columns.slice(0, 2).map(({ title }) => title)).toEqual(['policy', 'TTFT / round-robin']);
    expect(cells.map((row) => row[0])).toEqual(['round-robin', 'kv', 'lmetric']);
    expect(cells[0]![1]).toBe('-');
    expect(cells[1]![1]).toMatch(/^\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$/);
    expect(formatTable(columns, cells)).toHaveLength(6);
    expect(resultTable(rows).columns).toHaveLength(columns.length - 1);
  });

  it('summarize a comparison in one row per policy', () => {
    const other = generateWorkload('gsp-4x256', 1, { requests: 80 });
    const burst = rows.map(({ policy }) => ({
      policy,
      runs: [executeJob({ kind: 'run', spec: specOf(policy), speed: 1 }, other)],
    }));
    const sections = [
      { title: 'zipf', loads: [{ label: '', policies: rows }] },
      { title: 'burst', loads: [{ label: '', policies: burst }] },
    ];
    const { rows: summary } = summaryTable(sections, 'round-robin')!;
    const kv = [rows, burst].map((one) => pairedTtftRatio(one[1]!.runs, one[0]!.runs)!.ratio);
    expect(summary[0]!.slice(0, 2)).toEqual(['round-robin', '1.000']);
    expect(summaryGroups(sections)).toEqual([]);
    expect(summary[1]![1]).toBe(Math.sqrt(kv[0]! * kv[1]!).toFixed(3));
    expect(summary[1]![2]).toBe(`${Math.min(...kv).toFixed(3)} ${kv[0]! < kv[1]! ? 'zipf' : 'burst'}`);
    expect(summary[1]![3]).toBe(`${Math.max(...kv).toFixed(3)} ${kv[0]! < kv[1]! ? 'burst' : 'zipf'}`);
    expect(summaryTable(sections, 'random')).toBeNull();
  });

  it('make a page without external resources and with all tags closed', () => {
    const loads = [
      { label: 'low <load>', policies: rows },
      { label: 'high', policies: rows },
    ];
    const page = reportPage('a & b', [{ title: 'zipf', loads }], 'round-robin');
    expect(page).toContain('<h1>a &amp; b</h1>');
    expect(page).toContain('low &lt;load&gt;');
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|src=|href=/);
    for (const tag of ['svg', 'table', 'figure', 'details', 'g', 'text']) {
      const opened = page.match(new RegExp(`<${tag}[ >]`, 'g'))!.length;
      expect(page.match(new RegExp(`</${tag}>`, 'g'))).toHaveLength(opened);
    }
    // Over the loads, distribution, hit rates, and the workers under each policy.
    expect(page.match(/<svg/g)).toHaveLength(3 + rows.length);
  });
});
