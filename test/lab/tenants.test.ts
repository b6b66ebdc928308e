// Two tenants in the lab: a burst of one leaves the other its turn.

import { describe, expect, it } from 'vitest';
import { burstSpan, calmFigures, withBurst, withoutTenants } from '../../src/lab/index.ts';
import { parsePolicySpec } from '../../src/lab/policy-spec.ts';
import { runSpecDefaults } from '../../src/lab/run-spec.ts';
import { simulate } from '../../src/lab/simulation.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';
import { checkWorkload } from '../../src/trace/workload.ts';

const spec = { ...runSpecDefaults, policy: parsePolicySpec('foresee:late-binding=on') };

describe('a burst of another tenant', () => {
  const alone = generateWorkload('prefix-free', 1, { requests: 300, ratePerS: 4 });
  const both = withBurst(alone, 1000);

  it('is added in the middle, and the rest stays as it was', () => {
    checkWorkload(both);
    const calm = withoutTenants({ ...both, requests: both.requests.filter(({ tenant }) => tenant === 'calm') });
    expect(calm.requests).toEqual(alone.requests);
    const burst = both.requests.filter(({ tenant }) => tenant === 'burst');
    expect(new Set(burst.map(({ arrivalMs }) => arrivalMs)).size).toBe(1);
    expect(burst).toHaveLength(1000);
    expect(burst.slice(0, 300).map(({ isl }) => isl)).toEqual(alone.requests.map(({ isl }) => isl));
  });

  it('delays the others far less in the fair queue than in order of arrival, and every request is answered', () => {
    const fair = simulate(both, spec).log;
    const span = burstSpan(both, fair);
    const calm = calmFigures(both, fair, span);
    const arrival = calmFigures(both, simulate(withoutTenants(both), spec).log, span);
    const own = calmFigures(alone, simulate(alone, spec).log, span);
    expect([calm.failed, arrival.failed, own.failed]).toEqual([0, 0, 0]);
    expect(own.requests).toBeGreaterThan(20);
    expect(calm.requests).toBe(own.requests);
    expect(own.p50Ms).toBeLessThan(calm.p50Ms);
    expect(calm.p50Ms * 4).toBeLessThan(arrival.p50Ms);
  });
});
