// The bench of the selection service runs small: every cycle succeeds in every form, and nothing stays booked.

import { expect, it } from 'vitest';
import { cycleForms, measureSelection } from '../../bench/select.ts';

it('measures every form', async () => {
  const sizes = { engines: 2, connections: 3, cycles: 12, warmUpCycles: 3, promptTokens: 200, rounds: 1 };
  const figures = await measureSelection('dist', sizes);
  expect(figures.map(({ form }) => form)).toEqual([...cycleForms]);
  for (const { cycles, cyclesPerS, reserveMs } of figures) {
    expect(cycles).toBe(12);
    expect(cyclesPerS).toBeGreaterThan(0);
    expect(reserveMs.p99).toBeGreaterThanOrEqual(reserveMs.p50);
  }
}, 120_000);
