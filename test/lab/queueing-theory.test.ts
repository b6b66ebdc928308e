// The simulated cluster compared with queueing theory: Poisson arrivals, one server, equal service times.

import { expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { parsePolicySpec, runSpecDefaults, simulate } from '../../src/lab/index.ts';
import { engineOptions, type RunSpec } from '../../src/lab/run-spec.ts';
import { soloPrefillNs } from '../../src/lab/slo.ts';
import { poissonArrivalsMs } from '../../src/trace/arrivals.ts';
import { workloadOf } from './workloads.ts';

const arrivals = 200_000;

it.each([0.5, 0.8])('has the waiting time of M/D/1 at load %d', (load) => {
  const spec: RunSpec = {
    ...runSpecDefaults,
    policy: parsePolicySpec('round-robin'),
    workers: 1,
    sequencesMax: 1,
    warmupShare: 0,
  };
  const serviceMs = soloPrefillNs(engineOptions(spec), 16, 0) / 1e6;
  const arrivalsMs = poissonArrivalsMs(arrivals, (1000 / serviceMs) * load, new Random(11));
  const { log } = simulate(workloadOf(Array.from(arrivalsMs, (atMs) => ({ atMs, isl: 16, osl: 1 }))), spec);
  let waitMs = 0;
  for (let index = 0; index < arrivals; index++) waitMs += log.ttftMs(index) - serviceMs;
  const expectedMs = (load * serviceMs) / (2 * (1 - load));
  expect(Math.abs(waitMs / arrivals / expectedMs - 1)).toBeLessThan(0.03);
});
