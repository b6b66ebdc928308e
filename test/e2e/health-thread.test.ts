// The health thread of a gateway: the same answers as at its other listeners.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConfigError } from '../../src/gateway/index.ts';
import { getText } from '../fault/processes.ts';
import { eventually, Harness } from './harness.ts';
import { tlsSettings } from './tls-files.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

it('answers as the other listeners do, without a key, until the gateway has stopped', async () => {
  const engines = await harness.engines(2);
  const gateway = await harness.gateway({
    workers: engines.map(({ url }) => url),
    apiKeys: ['alice:alice-secret-000001'],
    adminKey: 'operators-secret-0001',
    healthPort: 0,
    shutdownNoticeMs: 1500,
  });
  const url = gateway.healthUrl!;
  for (const path of ['/health', '/ready']) {
    await eventually(async () => (await getText(url + path)) === (await getText(gateway.url + path)));
  }
  expect(JSON.parse(await getText(`${url}/ready`))).toEqual({
    ready: true,
    stopping: false,
    readyEngines: 2,
    engines: 2,
  });
  const closing = gateway.close();
  expect(JSON.parse(await getText(`${url}/ready`))).toMatchObject({ ready: false, stopping: true });
  expect(await getText(`${url}/health`)).toBe('ok\n');
  await closing;
  await expect(getText(`${url}/health`)).rejects.toThrow();
});

it("uses the clients' certificate", async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url], healthPort: 0, ...tlsSettings('first') });
  expect(gateway.healthUrl).toMatch(/^https:/);
  expect(await getText(`${gateway.healthUrl}/health`)).toBe('ok\n');
});

it('is off by default, and a taken port is reported at the start', async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url] });
  expect(gateway.healthUrl).toBeNull();
  const healthPort = Number(new URL(gateway.url).port);
  const start = harness.gateway({ workers: [engine.url], healthPort });
  await expect(start).rejects.toThrow(ConfigError);
  await expect(start).rejects.toThrow(/is taken: set healthPort/);
});
