// Jobs, the search for a capacity, paired ratios, tables and pages.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CapacitySearch,
  executeJob,
  type PolicyRuns,
  pairedTtftRatio,
  parsePolicySpec,
  reportPage,
  resultTable,
  runSpecDefaults,
  summaryTable,
  toJson,
} from '../../src/lab/index.ts';
import { formatTable } from '../../src/report/text-table.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

describe('CapacitySearch', () => {
  it('finds the highest rate to 1 %, from any start', () => {
    const rate = fc.double({ min: 0.01, max: 1000, noNaN: true });
    fc.assert(
      fc.property(rate, rate, (capacity, start) => {
        const search = new CapacitySearch(start);
        for (let next = search.next; next !== null; next = search.next) search.tell(next <= capacity);
        expect(search.capacity).toBeLessThanOrEqual(capacity);
        expect(search.capacity * 1.01).toBeGreaterThanOrEqual(capacity * (1 - 1e-9));
        expect(search.missed).toBeGreaterThan(capacity);
      }),
    );
  });

  it('gives up where no rate meets the condition, and where every rate does', () => {
    for (const met of [false, true]) {
      const search = new CapacitySearch(1);
      let asks = 0;
      for (; search.next !== null; asks++) search.tell(met);
      expect(asks).toBe(CapacitySearch.asksMax);
      expect(search.capacity === 0).toBe(!met);
    }
    expect(() => new CapacitySearch(0)).toThrow(RangeError);
  });
});

const workload = generateWorkload('zipf', 1, { requests: 300, ratePerS: 10 });
const specOf = (policy: string) => toJson({ ...runSpecDefaults, policy: parsePolicySpec(policy), workers: 4 });

describe('executeJob', () => {
  it('probes as a whole run would judge', () => {
    for (const speed of [0.5, 3]) {
      const run = executeJob({ kind: 'run', spec: specOf('kv'), speed }, workload);
      const probe = executeJob({ kind: 'probe', spec: specOf('kv'), speed, goodShareMin: 0.95 }, workload);
      expect(probe.met).toBe(run.measured.goodShare! >= 0.95);
      expect(probe.met).toBe(speed === 0.5);
      if (!probe.met) continue;
      expect(probe.goodShare).toBeCloseTo(run.measured.goodShare!, 6);
      expect(probe.ttftMeanMs).toBeCloseTo(run.measured.ttftMs.mean!, 3);
    }
  });
});

const rows: PolicyRuns[] = ['round-robin', 'kv', 'lmetric'].map((policy) => ({
  policy,
  runs: [executeJob({ kind: 'run', spec: specOf(policy), speed: 1 }, workload)],
}));

describe('pairedTtftRatio', () => {
  it('is the ratio of the means, inside its interval', () => {
    const [base, kv] = [rows[0]!, rows[1]!];
    const { ratio, low, high } = pairedTtftRatio(kv.runs, base.runs)!;
    expect(ratio).toBeCloseTo(kv.runs[0]!.measured.ttftMs.mean! / base.runs[0]!.measured.ttftMs.mean!, 5);
    expect(low).toBeLessThan(ratio);
    expect(high).toBeGreaterThan(ratio);
    expect(pairedTtftRatio(base.runs, base.runs)).toEqual({ ratio: 1, low: 1, high: 1 });
  });
});

describe('resultTable and reportPage', () => {
  it('show every policy, with ratios to the reference', () => {
    const { columns, rows: cells } = resultTable(rows, 'round-robin');
    expect(columns.at(-1)!.title).toBe('TTFT / round-robin');
    expect(cells.map((row) => row[0])).toEqual(['round-robin', 'kv', 'lmetric']);
    expect(cells[0]!.at(-1)).toBe('-');
    expect(cells[1]!.at(-1)).toMatch(/^\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$/);
    expect(formatTable(columns, cells)).toHaveLength(6);
    expect(resultTable(rows).columns).toHaveLength(columns.length - 1);
  });

  it('sum a comparison up in one row a policy', () => {
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
    expect(summary[1]![1]).toBe(Math.sqrt(kv[0]! * kv[1]!).toFixed(3));
    expect(summary[1]![2]).toBe(`${Math.min(...kv).toFixed(3)} ${kv[0]! < kv[1]! ? 'zipf' : 'burst'}`);
    expect(summary[1]![3]).toBe(`${Math.max(...kv).toFixed(3)} ${kv[0]! < kv[1]! ? 'burst' : 'zipf'}`);
    expect(summaryTable(sections, 'random')).toBeNull();
  });

  it('make a page that fetches nothing and closes what it opens', () => {
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
