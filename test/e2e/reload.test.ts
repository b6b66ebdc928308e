// A new configuration while requests run: settings that change at once, that need a restart, and that are refused.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/index.ts';
import type { FakeEngine } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

const base = { port: 0, canary: false, logLevel: 'info', probeIntervalMs: 25, shutdownGraceMs: 200 } as const;

async function started(options: GatewayOptions) {
  const log = new LogLines();
  const gateway = await harness.gateway({ ...base, ...options }, undefined, ['fake'], { logTo: log });
  return { gateway, log, reload: (next: GatewayOptions) => gateway.reload(() => ({ ...base, ...next })) };
}

describe('a reload', () => {
  it('reports which settings it changed, and which need a restart', async () => {
    const engine = await harness.engine();
    const workers = [engine.url];
    const { gateway, log, reload } = await started({ workers });
    expect(await reload({ workers })).toEqual({ changed: [], needRestart: [] });
    const changes = await reload({ workers, bodyBytesMax: 1024, logRequests: true, policy: 'random', seed: 5 });
    expect(changes).toEqual({ changed: ['bodyBytesMax', 'logRequests'], needRestart: ['policy', 'seed'] });
    expect(gateway.config).toMatchObject({ bodyBytesMax: 1024, logRequests: true, policy: 'foresee', seed: 0 });
    expect((await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x'.repeat(2000) })).status).toBe(413);
    await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' });
    expect(log.with('request').map(({ status }) => status)).toEqual([413, 200]);
    expect(log.with('settings not changed; they need a restart')).toMatchObject([{ settings: ['policy', 'seed'] }]);
  });

  it('with a fault changes nothing and reports why', async () => {
    const engine = await harness.engine();
    const { gateway, log, reload } = await started({ workers: [engine.url] });
    const before = gateway.config;
    expect(await reload({ workers: [engine.url, 'nowhere'], bodyBytesMax: 1024 })).toBe(null);
    expect(await reload({ workers: [engine.url], workersFile: '/no/such.yaml', bodyBytesMax: 1024 })).toBe(null);
    expect(gateway.config).toBe(before);
    const refusals = log.with('configuration refused; nothing changed').map(({ reasons }) => String(reasons));
    expect(refusals).toEqual([
      'workers "nowhere" is no http:// or https:// address',
      expect.stringMatching(/^workersFile \/no\/such\.yaml can't be read/),
    ]);
    expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(200);
  });

  it('that fails by a fault of its own changes nothing and reports it', async () => {
    const engine = await harness.engine();
    const { gateway, log } = await started({ workers: [engine.url] });
    const before = gateway.config;
    const broken = () => {
      throw new TypeError('broken');
    };
    expect(await gateway.reload(broken)).toBe(null);
    expect(gateway.config).toBe(before);
    expect(log.with('configuration refused; nothing changed')).toMatchObject([
      { reasons: ['broken'], err: { type: 'TypeError' } },
    ]);
  });

  it('under load replaces workers without a failed request; their answers end first', async () => {
    const [a, b, c] = (await harness.engines(3)) as [FakeEngine, FakeEngine, FakeEngine];
    const { gateway, reload } = await started({ workers: [a.url, b.url] });
    const statuses: number[] = [];
    let goOn = true;
    const clients = Array.from({ length: 8 }, async () => {
      while (goOn) {
        const { status, body } = await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
        statuses.push(body.includes('[DONE]') ? status : -1);
      }
    });
    const sets = [[b.url, c.url], [`${c.url},blocks=50`, a.url], [a.url, b.url, c.url], [b.url]];
    for (const workers of sets) {
      expect(await reload({ workers })).toMatchObject({ changed: ['workers'] });
      const urls = workers.map((worker) => worker.split(',')[0]);
      await eventually(async () => {
        const shown = (await getJson(gateway, '/workers')) as { workers: { url: string; state: string }[] };
        return (
          shown.workers.length === urls.length &&
          shown.workers.every(({ url, state }) => urls.includes(url) && state === 'ready')
        );
      });
    }
    goOn = false;
    await Promise.all(clients);
    expect(statuses.length).toBeGreaterThan(20);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(gateway.router('fake')!.loads()).toHaveLength(1);
  });
});
