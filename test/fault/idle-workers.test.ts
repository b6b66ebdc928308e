import { afterAll, beforeAll, expect, it } from 'vitest';
import { report, size } from './fault-report.ts';
import { whileProbing } from './health-prober.ts';
import { endAll, type Program, startGateway, startSims } from './processes.ts';

const count = size(100, 20);
const restMs = size(10_000, 1000);

let engines: Program;
let gateway: Program;

beforeAll(async () => {
  const { program, urls } = await startSims(count);
  engines = program;
  gateway = await startGateway(urls.map((url) => ({ url })));
});
afterAll(() => endAll([gateway, engines]));

it('idle workers cost almost no time: no metrics are scraped', async () => {
  const beforeMs = gateway.processorMs();
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const share = (gateway.processorMs() - beforeMs) / restMs;
  const { probes } = await whileProbing(gateway.url, () => new Promise((resolve) => setTimeout(resolve, restMs / 5)));
  expect(probes.failures).toBe(0);
  report(
    `${count} workers with nothing to do`,
    `${(100 * share).toFixed(1)} % of a core; /health p99 ${probes.p99Ms.toFixed(0)} ms`,
    'next to nothing',
  );
});
