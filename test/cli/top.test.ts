import { describe, expect, it } from 'vitest';
import { topLines } from '../../src/cli/top-view.ts';
import type { Snapshot, WorkerState } from '../../src/gateway/page/page-data.ts';

const workerOf = (i: number, more: Partial<WorkerState> = {}): WorkerState => ({
  ...{ id: `http://10.0.0.${i}:8000#0`, url: `http://10.0.0.${i}:8000`, clientId: `w${i}`, rank: 0, pool: 'm' },
  ...{ models: ['m'], engine: 'vllm', health: 'ready', healthReason: null },
  ...{ draining: false, drained: false, leaving: false, findings: [] },
  trust: { kind: 'exact', reason: null, detail: null },
  load: {
    ...{ activeBlocks: 100 * i, promptBlocks: 80 * i, sharedBlocks: 0, outputBlocks: 20 * i, otherRoutersBlocks: 0 },
    ...{ capacityBlocks: 1000, capacityKnown: true, blockTokens: 16, heldBlocks: 500 },
    ...{ activePrefillTokens: 1234, otherRoutersPrefillTokens: 0, runningRequests: i },
  },
  speed: {
    ...{ prefillTokensPerS: 8000, msPerToken: 22, slowness: 1, slownessError: 0.1, backlogMs: 0 },
    ...{ ttftErrorShare: null, ttftBiasShare: null },
  },
  rates: { requestsPerS: 1.5, ttftP50Ms: 120, itlMs: 22.4, prefixHitRate: 0.9 },
  ...more,
});

const snapshotOf = (workers: readonly WorkerState[]): Snapshot =>
  ({
    timeMs: 0,
    router: { version: '1.2.3', policy: 'foresee' },
    pools: [{ waiting: 3 }],
    fleet: {
      ...{ workers: workers.length, ready: workers.length, requestsPerS: 4, runningRequests: 6, ttftP50Ms: 120 },
      ...{ prefixHitRate: 0.9, imbalance: 1.5, trust: { text: 'Yes.' } },
    },
    workers,
  }) as unknown as Snapshot;

describe('kvoyant top', () => {
  it('shows the most loaded worker first', () => {
    const lines = topLines(snapshotOf([1, 3, 2].map((i) => workerOf(i))), { columns: 140, rows: null, colour: false });
    const order = lines.filter((line) => line.startsWith('10.0.0.')).map((line) => line[7]);
    expect(order).toEqual(['3', '2', '1']);
    expect(lines.find((line) => line.startsWith('10.0.0.3'))).toContain('###.......  30%');
  });

  it.each([20, 40, 60, 80])('fits into %i columns, and keeps the worker', (columns) => {
    const lines = topLines(snapshotOf([workerOf(1), workerOf(2)]), { columns, rows: null, colour: false });
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    expect(lines.some((line) => line.startsWith('10.0.0.2:8000#0'))).toBe(true);
  });

  it('fits into the rows, and says how many are left out', () => {
    const workers = Array.from({ length: 50 }, (_, i) => workerOf(i + 1));
    const lines = topLines(snapshotOf(workers), { columns: 100, rows: 20, colour: false });
    expect(lines).toHaveLength(20);
    expect(lines.at(-1)).toBe('... and 36 more, less loaded');
  });

  it('colours what needs attention, and nothing without colour', () => {
    const workers = [workerOf(1, { health: 'down', load: null }), workerOf(2, { draining: true }), workerOf(3)];
    const layout = { columns: 100, rows: null };
    const coloured = topLines(snapshotOf(workers), { ...layout, colour: true }).filter((line) =>
      line.includes('\u001b'),
    );
    expect(coloured.map((line) => line.slice(0, 5))).toEqual(['\u001b[33m', '\u001b[31m']);
    expect(topLines(snapshotOf(workers), { ...layout, colour: false }).join('')).not.toContain('\u001b');
  });
});
