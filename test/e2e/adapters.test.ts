import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EngineProbe } from '../../src/gateway/engines/engine-probe.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { replyJson, replyWhole, streamTokens } from './fake-engine.ts';
import { atRest, chatBody, eventually, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await harness.end();
});

const statusOf = async (gateway: Gateway, model: string): Promise<number> =>
  (await post(gateway, '/v1/completions', { model, prompt: 'x', max_tokens: 1 })).status;

describe('an adapter', () => {
  it('that is loaded through the gateway is served at once, by the engine that has it, and not when it is dropped', async () => {
    const engines = await harness.engines(2);
    for (const engine of engines) {
      engine.behaviour = (request) => {
        const { lora_name: name } = JSON.parse(request.body || '{}') as { lora_name?: string };
        if (request.path === '/v1/load_lora_adapter') engine.models = [...engine.models, name!];
        if (request.path === '/v1/unload_lora_adapter') engine.models = engine.models.filter((id) => id !== name);
        replyWhole(request, 'hi');
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), policy: 'round-robin' });
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    const loaded = await post(gateway, '/v1/load_lora_adapter', { lora_name: 'tuned', lora_path: '/x' });
    expect(loaded.status).toBe(200);
    await eventually(async () => (await statusOf(gateway, 'tuned')) === 200);
    for (let i = 0; i < 4; i++) expect(await statusOf(gateway, 'tuned')).toBe(200);
    const served = engines.map(({ requests }) => requests.filter(({ body }) => body.includes('"tuned"')).length);
    expect(Math.min(...served)).toBe(0);
    const holder = engines[served[0]! > 0 ? 0 : 1]!;
    holder.models = ['fake'];
    await post(gateway, '/v1/unload_lora_adapter', { lora_name: 'tuned' });
    await post(gateway, '/v1/unload_lora_adapter', { lora_name: 'tuned' });
    await eventually(async () => (await statusOf(gateway, 'tuned')) === 404);
    expect(await statusOf(gateway, 'fake')).toBe(200);
  });

  it('that is loaded at the engine is found by the next look, and dropping one ends no stream and no booking', async () => {
    const engine = await harness.engine();
    let finish = (): void => undefined;
    const gateway = await harness.gateway({ workers: [engine.url] });
    const looks = vi.spyOn(EngineProbe.prototype, 'models');
    engine.models = ['fake', 'tuned'];
    await eventually(async () => (await statusOf(gateway, 'tuned')) === 200, 30_000);
    expect(looks.mock.calls.length).toBeLessThanOrEqual(3);
    engine.behaviour = (request) => {
      if (request.path === '/v1/chat/completions') finish = () => streamTokens(request, 3);
      else replyWhole(request, 'dropped');
    };
    const streaming = post(gateway, '/v1/chat/completions', { ...chatBody, model: 'tuned', stream: true });
    await eventually(async () => (await loads(gateway)).workers[0]!.runningRequests === 1);
    engine.models = ['fake'];
    await post(gateway, '/v1/unload_lora_adapter', { lora_name: 'tuned' });
    await eventually(async () => {
      const data = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
      return data.data.length === 1;
    });
    expect((await loads(gateway)).workers[0]).toMatchObject({ runningRequests: 1, viewEpoch: 0 });
    finish();
    expect((await streaming).body).toContain('[DONE]');
    await atRest(gateway);
  }, 60_000);

  it('beyond reading leaves what was listed before in force', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      if (request.path.startsWith('/v1/load')) replyJson(request.response, 200, {});
      else replyWhole(request, 'hi');
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const asked = vi.spyOn(EngineProbe.prototype, 'models');
    engine.models = Array.from({ length: 40 }, () => 'x'.repeat(100_000));
    await post(gateway, '/v1/load_lora_adapter', {});
    await eventually(() => asked.mock.results.length > 0);
    await asked.mock.results[0]!.value.catch(() => undefined);
    expect(await statusOf(gateway, 'fake')).toBe(200);
  });
});
