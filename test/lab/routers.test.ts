// Several routers in the lab: what sharing is worth, and that the views are exact after every fault.

import { describe, expect, it } from 'vitest';
import { parsePolicySpec, type RunSpec, resultOf, runSpecDefaults, simulate } from '../../src/lab/index.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

function specOf(policy: string): RunSpec {
  return { ...runSpecDefaults, policy: parsePolicySpec(policy) };
}

const workload = generateWorkload('gsp-64x16', 3, { requests: 512 });
const spread = {
  ...workload,
  requests: workload.requests.map((request, i) => ({ ...request, arrivalMs: i / 4 })),
};

function run(policy: string): { prefillMax: number; result: ReturnType<typeof simulate> } {
  const spec = specOf(policy);
  const result = simulate(spread, spec);
  return { prefillMax: resultOf(spread, spec, result).workers.prefillTokensMax, result };
}

describe('several routers', () => {
  it('group the prefixes of a burst like one router if they share, and not if they do not', () => {
    const one = run('foresee').prefillMax;
    expect(run('foresee:routers=4').prefillMax).toBeLessThan(1.3 * one);
    expect(run('foresee:routers=4:sharing=off').prefillMax).toBeGreaterThan(1.5 * one);
    expect(run('foresee:routers=4:chains=off').prefillMax).toBeGreaterThan(1.5 * one);
  });

  it.each([
    'foresee:routers=2',
    'kv:routers=8:chains=whole:router-jitter-ms=30',
    'foresee:routers=4:router-delay-ms=50:router-loss=0.2:router-duplicate=0.2:router-jitter-ms=100',
    'foresee:routers=4:router-partition-ms=3000:router-restarts=on',
    'foresee:routers=3:queue=100:spread=prefix:events=none',
    'foresee:routers=4:router-pace=on',
  ])('%s: every request is served, and a second after the last one every view is exact and empty', (policy) => {
    const { result } = run(policy);
    const { log, sharing, router } = result;
    for (let request = 0; request < log.count; request++) expect(log.fate(request)).toBe('done');
    expect(sharing).toMatchObject({ loadErrorTokens: 0 });
    expect(sharing!.messages).toBeGreaterThan(100);
    for (const { activeBlocks, othersBlocks, othersPrefillTokens, othersRequests } of router.loads()) {
      expect([activeBlocks, othersBlocks, othersPrefillTokens, othersRequests]).toEqual([0, 0, 0, 0]);
    }
    router.assertConsistent();
  });

  it('gives the same result again', () => {
    const policy = 'foresee:routers=4:router-loss=0.1:router-jitter-ms=20';
    expect(run(policy).result.sharing).toEqual(run(policy).result.sharing);
  });
});
