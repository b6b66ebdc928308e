// One of four workers turns ten times slower in mid-run and recovers: the router notices from the streams alone.

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { l40sLlama8b } from '../../src/sim/step-time.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { atRest, getJson, Harness, post } from './harness.ts';

const model = 'sim-slow';

const started = { port: 0, kvEventsPort: 0, model, speedup: 1 } as const;
const atATime = 8;

let slowdown: number;
let fleets: SimWorkers[];
let harness: Harness;
let gateway: Gateway;
let slowId: string;

beforeEach(async () => {
  slowdown = 1;
  harness = new Harness();
  fleets = [
    await startSimWorkers({ ...started, count: 3 }),
    await startSimWorkers({ ...started, count: 1, stepTime: (load) => slowdown * l40sLlama8b(load) }),
  ];
  const workers = fleets.flatMap((fleet) => fleet.workers.map(({ url }) => url));
  slowId = `${workers[3]}#0`;
  gateway = await harness.gateway({ workers, policy: 'foresee', decisionsMax: 4000 }, 4, [model]);
});
afterEach(async () => {
  await atRest(gateway, 20_000);
  await harness.end();
  for (const fleet of fleets) await fleet.close();
});

let number = 0;

async function ask(): Promise<void> {
  const own = number++;
  const prompt = Array.from({ length: 600 + 100 * (own % 9) }, (_, i) => (own * 977 + i * 13) % 50_000);
  const body = { model, prompt, stream: true, max_tokens: 4, ignore_eos: true };
  expect((await post(gateway, '/v1/completions', body)).status).toBe(200);
}

/** Sends requests, `atATime` in flight. @returns the share of them that the slow worker got */
async function shareOfSlow(requests: number): Promise<number> {
  let left = requests;
  const client = async (): Promise<void> => {
    while (left-- > 0) await ask();
  };
  await Promise.all(Array.from({ length: atATime }, client));
  const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: readonly { worker: string }[] };
  return decisions.slice(0, requests).filter(({ worker }) => worker === slowId).length / requests;
}

it('gets less than half of its traffic while it is slow, and more again when it has recovered', async () => {
  await shareOfSlow(80);
  const before = await shareOfSlow(80);
  expect(before).toBeGreaterThan(0.1);
  slowdown = 10;
  await shareOfSlow(40);
  const during = await shareOfSlow(80);
  expect(during).toBeLessThan(before / 2);
  slowdown = 1;
  await shareOfSlow(200);
  expect(await shareOfSlow(80)).toBeGreaterThan(during);
}, 120_000);
