// The bench of tracing runs small, and what it sends are whole traces.

import { expect, it } from 'vitest';
import { measureTracing } from '../../bench/tracing.ts';

it('sends the traces that are sampled, and no other', async () => {
  const { bytesPerTrace, cpuUsPerRequest } = await measureTracing(1, 200);
  // Four spans with their attributes.
  expect(bytesPerTrace).toBeGreaterThan(800);
  expect(cpuUsPerRequest).toBeGreaterThan(0);
  expect((await measureTracing(0, 200)).bytesPerTrace).toBe(0);
});
