// The summary of a grid: ratios by row, the best policy of a row, bursts apart, intervals over the seeds.

import { describe, expect, it } from 'vitest';
import {
  executeJob,
  overallVerdict,
  parsePolicySpec,
  type ReportSection,
  type RunResult,
  runSpecDefaults,
  summaryGroups,
  summaryTable,
  toJson,
} from '../../src/lab/index.ts';
import { cellsByPolicy, geoMean, isReference, seedInterval } from '../../src/lab/summary-cells.ts';
import { policySummaries } from '../../src/lab/summary-table.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

const base = executeJob(
  { kind: 'run', spec: toJson({ ...runSpecDefaults, policy: parsePolicySpec('kv'), workers: 2 }), speed: 1 },
  generateWorkload('zipf', 1, { requests: 60, ratePerS: 5 }),
);

/** A run whose TTFT is `factor` times that of `base`. */
function times(factor: number, more: Partial<RunResult['workload']> = {}, tpot = 1): RunResult {
  const { sumMs, requests } = base.ttftBlocks;
  const { measured } = base;
  return {
    ...base,
    workload: { ...base.workload, ...more },
    ttftBlocks: { sumMs: sumMs.map((ms) => ms * factor), requests },
    measured: { ...measured, tpotMs: { ...measured.tpotMs, mean: measured.tpotMs.mean! * tpot } },
  };
}

type Factors = Readonly<Record<string, readonly number[]>>;

function section(title: string, loads: readonly Factors[], more: Partial<RunResult['workload']> = {}): ReportSection {
  return {
    title,
    loads: loads.map((factors, at) => ({
      label: `0.${7 + at} of round robin's capacity`,
      policies: Object.entries(factors).map(([policy, list]) => ({
        policy,
        runs: list.map((factor) => times(factor, more)),
      })),
    })),
  };
}

const burst = { ratePerS: null };
const sections = [
  section('a', [
    { 'round-robin': [1, 1], kv: [0.5, 0.5], lmetric: [0.25, 0.25], 'what-if:told=on': [0.1, 0.1] },
    { 'round-robin': [1, 1], kv: [0.5, 0.5], lmetric: [1, 1], 'what-if:told=on': [0.1, 0.1] },
  ]),
  section('b', [{ 'round-robin': [1], kv: [2], lmetric: [1], 'what-if:told=on': [0.1] }], burst),
  section('c', [{ 'round-robin': [1], kv: [0.5], lmetric: [0.5], 'what-if:told=on': [0.1] }], burst),
];

describe('the summary of a comparison', () => {
  it('compares every policy with the best of the row, never with a reference', () => {
    const cells = cellsByPolicy(sections, 'round-robin')!;
    expect(cells.get('kv')!.map(({ row, ratio, behindBest }) => [row, ratio, behindBest])).toEqual([
      ['a at 0.7', 0.5, 2],
      ['a at 0.8', 0.5, 1],
      ['b', 2, 2],
      ['c', 0.5, 1],
    ]);
    expect(cells.get('what-if:told=on')!.map(({ behindBest }) => Number(behindBest.toFixed(9)))).toEqual([
      0.4, 0.2, 0.1, 0.2,
    ]);
    expect(isReference('kv:slow-worker=drained')).toBe(true);
    expect(isReference('what-if')).toBe(false);
  });

  it('keeps bursts apart', () => {
    const groups = summaryGroups(sections);
    expect(groups.map(({ title }) => title)).toEqual(['all 2 rows with a rate', 'all 2 bursts']);
    const scores = groups.map(({ sections: group }) => policySummaries(group, 'round-robin')!);
    expect(scores[0]!.map(({ geoMean: mean }) => mean)).toEqual([1, 0.5, 0.5, expect.closeTo(0.1, 9)]);
    expect(scores[1]!.map(({ geoMean: mean }) => mean)).toEqual([
      1,
      1,
      expect.closeTo(Math.SQRT1_2, 9),
      expect.closeTo(0.1, 9),
    ]);
    expect(scores[0]![1]!.furthest).toMatchObject({ row: 'a at 0.7', behindBest: 2 });
  });

  it('states the verdict, starting with the policy of the lowest mean', () => {
    const verdict = overallVerdict(sections, 'round-robin');
    expect(verdict[0]).toMatch(
      /^Mean TTFT \/ round-robin's over all 2 rows with a rate: kv 0\.500, lmetric 0\.500, round-/,
    );
    expect(verdict[1]).toBe(
      'kv against the best policy of each row: mean TTFT at worst 2.00 x (a at 0.7), TPOT at worst +0.0 %, E2E at worst +0.0 %.',
    );
    expect(verdict.join(' ')).not.toContain('told');
    expect(overallVerdict([sections[1]!], 'round-robin')).toEqual([]);
  });

  it('shows the TPOT relative to the best policy', () => {
    const policies = [
      { policy: 'round-robin', runs: [times(1)] },
      { policy: 'kv', runs: [times(0.5, {}, 1.07)] },
    ];
    const loads = [{ label: '', policies }];
    const { columns, rows } = summaryTable([{ title: 'a', loads }], 'round-robin')!;
    const at = columns.findIndex(({ title, group }) => group === 'TPOT' && title === 'worst / best');
    expect(rows.map((row) => row[at])).toEqual(['1.00', '1.07']);
  });

  it('has an interval for three or more seeds of generated requests', () => {
    const of = (kv: readonly number[], more = {}) =>
      seedInterval(
        cellsByPolicy([section('a', [{ 'round-robin': kv.map(() => 1), kv }], more)], 'round-robin')!.get('kv')!,
      );
    expect(of([0.5, 0.5])).toBeNull();
    const { low, high } = of([0.4, 0.5, 0.6])!;
    // Logs of mean -0.7067 and deviation 0.2033; t with 2 degrees of freedom is 4.303.
    expect(Math.log(high) - Math.log(low)).toBeCloseTo((2 * 4.303 * 0.2033) / Math.sqrt(3), 2);
    expect(Math.sqrt(low * high)).toBeCloseTo(geoMean([0.4, 0.5, 0.6])!, 9);
    expect(of([0.4, 0.5, 0.6], { recorded: true })).toBeNull();
  });
});
