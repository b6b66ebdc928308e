// The bench of a burst runs at a small size.

import { expect, it } from 'vitest';
import { measureTenants } from '../../bench/tenants.ts';

it('compares the requests of a tenant alone with those that arrive while the burst waits', async () => {
  const lines: string[] = [];
  const { alone, failed, burstS } = await measureTenants({
    workers: 2,
    speedup: 20,
    warmUpS: 0.1,
    aloneS: 1,
    ratePerS: 40,
    burst: 12,
    promptTokens: 200,
    outputTokens: 4,
    tenantReserveS: 30,
    seed: 3,
    onProgress: (line) => lines.push(line),
  });
  expect(failed).toBe(0);
  expect(burstS).toBeGreaterThan(0);
  // On average 40 arrive in a second.
  expect(alone.requests).toBeGreaterThan(10);
  expect(alone.requests).toBeLessThan(100);
  expect(alone.p50Ms).toBeGreaterThan(0);
  expect(alone.p50Ms).toBeLessThanOrEqual(alone.p99Ms);
  expect(lines.at(-1)).toMatch(/^\d+ s: /);
  expect(lines).toContainEqual(expect.stringMatching(/burst: 12 of 12 answers$/));
}, 240_000);
