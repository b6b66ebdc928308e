// The core's table in a small size: every overlap is right, and so are the seven cases.

import { expect, it } from 'vitest';
import { measureCore } from '../../bench/core.ts';

it('runs small', () => {
  const report = measureCore({ queries: 60, churnEvents: 640, inFlight: 20, scale: [[40, 20_000]] });
  expect(report.wrongOverlaps).toBe(0);
  expect(report.wrongCases).toEqual([]);
  expect(report.figures).toHaveLength(10);
  expect(report.figures.every(({ p50, p99 }) => p50 > 0 && p99 >= p50)).toBe(true);
  expect(report.scale[0]!.bytesPerWorkerBlock).toBeGreaterThan(20);
}, 120_000);
