// An idle engine whose process ends: the end of its KV events tells of it, long before the next probe.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { Publisher } from 'zeromq';
import { eventually, getJson, Harness } from './harness.ts';

let harness: Harness;
let publisher: Publisher;
beforeEach(async () => {
  harness = new Harness();
  publisher = new Publisher({ linger: 0 });
  await publisher.bind('tcp://127.0.0.1:*');
});
afterEach(async () => {
  await harness.end();
  publisher.close();
});

interface WorkersAnswer {
  readonly workers: readonly { readonly state: string; readonly feed: { readonly publishers: number } }[];
}

it('is probed as soon as its publisher has disconnected', async () => {
  const engine = await harness.engine();
  let probes = 0;
  engine.health = (response) => {
    probes += 1;
    response.end();
  };
  const gateway = await harness.gateway({
    workers: [`${engine.url},kv-events=${publisher.lastEndpoint}`],
    tokenizer: 'builtin',
    trustTokenizer: true,
  });
  const worker = async () => ((await getJson(gateway, '/workers')) as WorkersAnswer).workers[0]!;
  await eventually(async () => (await worker()).feed.publishers === 1);
  // After a probe, so that the next one is 5 s away.
  const probesBefore = probes;
  await eventually(() => probes > probesBefore, 25_000);
  publisher.close();
  await engine.close();
  await eventually(async () => (await worker()).state === 'down', 4500);
  expect(gateway.router('fake')!.loads()).toHaveLength(1);
});
