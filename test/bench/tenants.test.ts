// The bench of a burst runs at a small size.

import { expect, it } from 'vitest';
import { measureTenants } from '../../bench/tenants.ts';

it('compares the requests that arrive while the burst waits', async () => {
  const figures = await measureTenants({
    workers: 2,
    speedup: 20,
    warmUpRequests: 4,
    ratePerS: 40,
    burst: 12,
    promptTokens: 200,
    outputTokens: 4,
    tenantReserveS: 30,
    seed: 3,
  });
  expect(figures.failed).toBe(0);
  expect(figures.burstS).toBeGreaterThan(0);
}, 240_000);
