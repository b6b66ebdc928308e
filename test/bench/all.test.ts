// All benches run small in one go, and the comparison with a baseline goes by ratios.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { measureAll } from '../../bench/all.ts';
import { type BenchReport, benchReport, benchTables } from '../../bench/bench-report.ts';
import { bareRelay, withoutTokens } from '../../bench/gateway/contenders.ts';
import { publishedLoad } from '../../bench/gateway/published-load.ts';
import { workloadToReplay } from '../../bench/replay.ts';
import { firstRequests } from '../../src/trace/arrival-process.ts';

it('measures each group, with a ratio for every figure of processor time', async () => {
  const load = { rounds: '1', streams: '2', text: ['prose'], requests: '1', 'warm-up': '2', lockstep: true };
  const { groups } = await measureAll({
    requests: 3,
    intakeRounds: 1,
    promptsPerKind: 3,
    core: { queries: 20, churnEvents: 640, inFlight: 5, scale: [] },
    messagesPerS: 200,
    intakeSeconds: 0.2,
    workload: firstRequests(await workloadToReplay(undefined), 30),
    policies: ['kv'],
    gateway: {
      ...publishedLoad(load, 3),
      contenders: [withoutTokens({ name: 'kvoyant', dist: 'dist' }), bareRelay],
      engines: 2,
      requestsAt: () => 6,
      promptWords: 50,
      pin: false,
      say: () => undefined,
    },
  });
  const counts = groups.map(({ name, figures }) => [name, figures.length]);
  expect(Object.fromEntries(counts)).toEqual({
    'reading a request': 8,
    tokens: 6,
    core: 10,
    'KV events': 2,
    lab: 1,
    gateway: 4,
  });
  const figures = groups.slice(0, -1).flatMap((group) => group.figures);
  for (const { name, unit, p50, ratio } of figures) {
    expect(p50, name).toBeGreaterThanOrEqual(0);
    if (unit !== 'bytes' && unit !== 'ms') expect(ratio, name).toBeGreaterThanOrEqual(0);
  }
}, 300_000);

it('compares ratios, not times', () => {
  const report = (p50: number, ratio: number | null): BenchReport =>
    benchReport([{ name: 'g', yardstick: 'y', figures: [{ name: 'f', unit: 'us', p50, p99: null, ratio }] }]);
  const cells = (now: BenchReport, before: BenchReport | null): string[] =>
    benchTables(now, before)
      .split('\n')
      .at(-1)!
      .split(/\s{2,}/);
  expect(cells(report(30, 6), report(10, 3))).toEqual(['f, us', '30.0', '6.00', '3.00', '2.00']);
  expect(cells(report(30, null), report(10, 3))).toEqual(['f, us', '30.0', '3.00']);
  expect(cells(report(30, 6), null)).toEqual(['f, us', '30.0', '6.00']);
});

it('has a baseline with the figures of a run', () => {
  const baseline = JSON.parse(readFileSync('bench/baseline.json', 'utf8')) as BenchReport;
  const names = ['reading a request', 'tokens', 'core', 'KV events', 'lab', 'gateway'];
  expect(baseline.groups.map(({ name }) => name)).toEqual(names);
  expect(baseline.versions).toHaveProperty('node');
});
