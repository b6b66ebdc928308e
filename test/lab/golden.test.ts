// Three small runs whose figures are stored in files.

import { expect, it } from 'vitest';
import { parsePolicySpec, type RunSpec, runSpecDefaults, simulate } from '../../src/lab/index.ts';
import { resultOf } from '../../src/lab/run-result.ts';
import { withArrivals } from '../../src/trace/arrival-process.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';
import type { Workload } from '../../src/trace/workload.ts';

function figuresOf(workload: Workload, policy: string, more: Partial<RunSpec>): string {
  const spec: RunSpec = { ...runSpecDefaults, policy: parsePolicySpec(policy), workers: 3, ...more };
  // Predictions change whenever the speed model does; they have tests of their own.
  const { prediction, ...figures } = resultOf(workload, spec, simulate(workload, spec));
  expect(prediction?.requests).toBeGreaterThan(0);
  return `${JSON.stringify(figures, null, 1)}\n`;
}

it('open loop: PR #1731 with varied output under kv', async () => {
  const workload = generateWorkload('pr1731-osl', 1, { requests: 60, ratePerS: 6 });
  await expect(figuresOf(workload, 'kv', {})).toMatchFileSnapshot('../golden/lab-pr1731-osl-kv.json');
});

it('a burst over small caches under what-if without credit, with late events', async () => {
  const workload = generateWorkload('gsp-64x16', 2, { requests: 120 });
  await expect(
    figuresOf(workload, 'what-if:credit=off:event-delay-ms=80', { kvTokens: 24_000, blockSize: 64 }),
  ).toMatchFileSnapshot('../golden/lab-gsp-what-if.json');
});

it('closed loop: chats under the older form, drawn by temperature, with late booking', async () => {
  const chats = generateWorkload('multi-turn', 3, { requests: 80 });
  const workload = withArrivals(chats, { kind: 'closed-loop', concurrency: 12 }, 3);
  await expect(figuresOf(workload, 'kv:form=1731:temperature=0.5:book-delay-ms=4', { seed: 3 })).toMatchFileSnapshot(
    '../golden/lab-multi-turn-1731.json',
  );
});
