// Small and odd workloads: one request, all at once, prompts too large for any worker. Figures are numbers or absent.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  executeJob,
  type PolicyRuns,
  parsePolicySpec,
  poolProbes,
  reportPage,
  resultTable,
  runSpecDefaults,
  summaryTable,
  toJson,
  verdict,
} from '../../src/lab/index.ts';
import type { Workload } from '../../src/trace/workload.ts';
import { workloadOf } from './workloads.ts';

const policies = ['round-robin', 'kv', 'lmetric:queue=1'];

function specOf(policy: string, kvTokens: number, warmupShare: number) {
  return toJson({ ...runSpecDefaults, policy: parsePolicySpec(policy), workers: 2, kvTokens, warmupShare });
}

function runsOf(workload: Workload, kvTokens: number, warmupShare: number): PolicyRuns[] {
  return policies.map((policy) => {
    const spec = specOf(policy, kvTokens, warmupShare);
    return { policy, runs: [executeJob({ kind: 'run', spec, speed: 1 }, workload)] };
  });
}

function shown(sections: { title: string; policies: PolicyRuns[] }[]): string {
  const report = sections.map(({ title, policies: loads }) => ({ title, loads: [{ label: '', policies: loads }] }));
  const tables = sections.flatMap(({ policies: runs }) => [resultTable(runs, 'round-robin'), resultTable(runs)]);
  const summary = summaryTable(report, 'round-robin');
  const verdicts = sections.map(({ policies: runs }) => verdict(runs, 'round-robin'));
  return [JSON.stringify([tables, summary, verdicts]), reportPage('odd', report, 'round-robin')].join('\n');
}

const request = fc.record({
  atMs: fc.constantFrom(0, 0, 1, 500, 40_000),
  isl: fc.constantFrom(1, 15, 16, 17, 200, 900),
  osl: fc.constantFrom(1, 2, 60),
  ids: fc.constantFrom([], [0]),
});

describe('odd workloads', () => {
  it('yield numbers or no value in results, tables and pages', () => {
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(16, 64, 512, 100_000),
        fc.constantFrom(0, 0.5, 0.9),
        fc.constantFrom(undefined, 1),
        (requests, kvTokens, warmupShare, concurrencyMax) => {
          const workload = workloadOf(requests, concurrencyMax === undefined ? {} : { concurrencyMax });
          const runs = runsOf(workload, kvTokens, warmupShare);
          for (const { runs: one } of runs) expect(JSON.parse(JSON.stringify(one))).toEqual(one);
          for (const { runs: one } of runs) expect(one[0]!.bounds.ttftReached ?? 0).toBeLessThanOrEqual(1 + 1e-6);
          expect(
            shown([
              { title: 'a', policies: runs },
              { title: 'b', policies: runs },
            ]),
          ).not.toMatch(/NaN|Infinity|undefined|n\/a/);
          const spec = specOf('kv', kvTokens, warmupShare);
          const probe = executeJob({ kind: 'probe', spec, speed: 2, missesMax: Number.MAX_VALUE }, workload);
          expect(JSON.parse(JSON.stringify(poolProbes([probe, probe])))).toEqual(poolProbes([probe, probe]));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('compute the bound from the requests that ended, so that no policy seems to beat it', () => {
    const long = Array.from({ length: 20 }, (_, at) => ({ atMs: at * 100, isl: 4000, osl: 2 }));
    const short = Array.from({ length: 20 }, (_, at) => ({ atMs: at * 100 + 50, isl: 20, osl: 2 }));
    const [base] = runsOf(workloadOf([...long, ...short]), 1024, 0);
    const { measured, bounds, workers } = base!.runs[0]!;
    expect(measured).toMatchObject({ requests: 40, failed: 20 });
    expect(bounds.ttftReached).toBeLessThanOrEqual(1);
    expect(workers.preemptions).toBe(0);
  });

  it('have no winner if nothing ended, and omit policies that failed more', () => {
    const nothing = runsOf(workloadOf([{ atMs: 0, isl: 4000, osl: 2 }]), 1024, 0);
    expect(verdict(nothing, 'round-robin')).toBe('No verdict: no request ended.');
    const burst = Array.from({ length: 600 }, () => ({ atMs: 0, isl: 400, osl: 40 }));
    const refusing = runsOf(workloadOf(burst), 4096, 0);
    expect(refusing[2]!.runs[0]!.measured.failed).toBeGreaterThan(0);
    expect(verdict(refusing, 'round-robin')).toContain('failed more requests: lmetric:queue=1');
    expect(verdict([nothing[0]!], 'round-robin')).toBeNull();
  });
});
