// Tenants over HTTP: limits with their headers, models and priorities, usage for metrics and bills, and a burst that leaves
// others their turn.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import type { UsageEntry } from '../../src/gateway/telemetry/usage-entry.ts';
import { openStream, replyWhole, sendToken } from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

const secret = (name: string): string => `${name}-secret-00000000001`;
const bearer = (name: string) => ({ authorization: `Bearer ${secret(name)}` });
const keyOf = (name: string, tenant: string, more: object = {}) => ({ name, key: secret(name), tenant, ...more });

let harness: Harness;
let folder: string;
beforeEach(async () => {
  harness = new Harness();
  folder = await mkdtemp(join(tmpdir(), 'kvoyant-tenants-'));
});
afterEach(async () => {
  await harness.end();
  await rm(folder, { recursive: true });
});

async function metric(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

describe.each([
  ['one thread', {}],
  ['two threads', { threads: 2, tokenizer: 'builtin', trustTokenizer: true }],
] as const)('limits of a tenant with %s', (_, options: GatewayOptions) => {
  it('count over its keys, are named in the refusal, and are told in headers', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({
      workers: [engine.url],
      tenants: [{ name: 'acme', requestsPerMinuteMax: 1000, tokensPerMinuteMax: 3000 }, 'calm'],
      apiKeys: [keyOf('one', 'acme'), keyOf('two', 'acme'), keyOf('other', 'calm')],
      ...options,
    });
    const ask = (name: string, more: object = {}) =>
      post(gateway, '/v1/chat/completions', { ...chatBody, max_tokens: 200, ...more }, bearer(name));
    // The threads learn the model a little later; the owner serves its requests until then.
    await eventually(async () => (await ask('other')).status === 200);
    const first = await ask('one');
    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      'x-ratelimit-limit-requests': '1000',
      'x-ratelimit-remaining-requests': '999',
      'x-ratelimit-limit-tokens': '3000',
    });
    expect(Number(first.headers['x-ratelimit-remaining-tokens'])).toBeLessThan(2800);
    expect(first.headers['x-ratelimit-reset-requests']).toMatch(/^[12]m\d+s$/);
    const held: (() => void)[] = [];
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
      held.push(() => request.response.end('data: [DONE]\n\n'));
    };
    const running: Promise<{ readonly status: number }>[] = [];
    for (let i = 0; i < 8; i++) {
      running.push(ask('one', { stream: true }));
      await eventually(() => held.length === i + 1);
    }
    const askLong = (tokens: number) => {
      const prompt = Array.from({ length: tokens }, (_, id) => id);
      return post(gateway, '/v1/completions', { model: 'fake', prompt, max_tokens: 1 }, bearer('two'));
    };
    let refused = await askLong(2000);
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body)).toEqual({
      error: {
        message: 'the limit of 3000 tokens a minute of the tenant acme is reached',
        type: 'rate_limit_error',
        param: null,
        code: 'rate_limit_exceeded',
      },
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(refused.headers['x-ratelimit-limit-tokens']).toBe('3000');
    refused = await askLong(3000);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatch(/more than the limit of 3000 tokens a minute of the tenant acme/);
    expect(refused.headers['retry-after']).toBeUndefined();
    for (const end of held) end();
    for (const one of running) expect((await one).status).toBe(200);
    expect(
      await metric(gateway, 'kvoyant_tenant_limited_total{tenant="acme",limit="tokensPerMinutePerTenantMax"}'),
    ).toBe(2);
    await atRest(gateway);
  });
});

it('a tenant limits the models and priorities of its keys', async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({
    workers: [engine.url],
    tenants: [{ name: 'narrow', models: ['another'] }],
    apiKeys: [keyOf('one', 'narrow')],
  });
  const refused = await post(gateway, '/v1/chat/completions', chatBody, bearer('one'));
  expect([refused.status, JSON.parse(refused.body)]).toMatchObject([403, { error: { code: 'model_not_allowed' } }]);
});

it('keys of unknown tenants are a fault of the settings', async () => {
  await expect(harness.gateway({ workers: ['http://127.0.0.1:1'], apiKeys: [keyOf('one', 'nobody')] })).rejects.toThrow(
    'has the key one of the tenant nobody, which is not among the tenants',
  );
});

describe('usage', () => {
  it('is counted by tenant, key and model, and in the file within a second', async () => {
    const engine = await harness.engine();
    const usageFile = join(folder, 'usage.jsonl');
    const gateway = await harness.gateway({
      workers: [engine.url],
      tenants: ['acme'],
      apiKeys: [keyOf('one', 'acme'), `free:${secret('free')}`],
      usageFile,
    });
    const streams = engine.behaviour;
    engine.behaviour = (request) => replyWhole(request, 'x');
    const whole = await post(gateway, '/v1/chat/completions', chatBody, { ...bearer('one'), 'x-request-id': 'whole' });
    const { usage } = JSON.parse(whole.body) as { usage: { prompt_tokens: number; completion_tokens: number } };
    engine.behaviour = streams;
    await post(
      gateway,
      '/v1/chat/completions',
      { ...chatBody, stream: true },
      { ...bearer('free'), 'x-request-id': 'streamed' },
    );
    let lines: UsageEntry[] = [];
    await eventually(async () => {
      const text = await readFile(usageFile, 'utf8');
      lines = text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as UsageEntry);
      return lines.length === 2;
    });
    expect(lines[0]).toMatchObject({
      ...{ requestId: 'whole', tenant: 'acme', key: 'one', model: 'fake', requests: 1 },
      ...{
        promptTokens: usage.prompt_tokens,
        outputTokens: usage.completion_tokens,
        source: 'engine',
        outcome: 'done',
      },
    });
    expect(lines[1]).toMatchObject({ requestId: 'streamed', tenant: 'free', key: 'free', model: 'fake' });
    expect(lines[1]!.outputTokens).toBeGreaterThan(0);
    const labels = '{tenant="acme",key="one",model="fake"}';
    expect(await metric(gateway, `kvoyant_usage_prompt_tokens_total${labels}`)).toBe(usage.prompt_tokens);
    expect(await metric(gateway, `kvoyant_usage_output_tokens_total${labels}`)).toBe(usage.completion_tokens);
    expect(await metric(gateway, `kvoyant_usage_requests_total${labels}`)).toBe(1);
    await eventually(async () => (await metric(gateway, 'kvoyant_usage_lines_total{fate="written"}')) === 2);
  });

  it('of refused requests is nothing', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys: [`free:${secret('free')}`] });
    const refused = await post(gateway, '/v1/chat/completions', { model: 'none', messages: [] }, bearer('free'));
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(await (await fetch(`${gateway.adminUrl}/metrics`)).text()).not.toMatch(/kvoyant_usage_requests_total\{/);
  });
});

describe('a burst of one tenant', () => {
  const enginesCount = 4;
  const runningMax = 4;
  const burstCount = 60;

  /** Engines that hold the answers of the burst until they are told to end them. */
  async function withBurst(options: GatewayOptions) {
    const held: (() => void)[] = [];
    const engines = await Promise.all(Array.from({ length: enginesCount }, () => harness.engine()));
    for (const engine of engines) {
      const answer = engine.behaviour;
      engine.behaviour = (request) => {
        if ((JSON.parse(request.body) as { max_tokens: number }).max_tokens === 1) return answer(request);
        openStream(request);
        sendToken(request, 'a');
        return held.push(() => request.response.end('data: [DONE]\n\n'));
      };
    }
    const gateway = await harness.gateway(
      {
        workers: engines.map(({ url }) => `${url},running-max=${runningMax}`),
        // Spreads what comes before the tenant is a burst evenly, however slow the machine is.
        policy: 'least-requests',
        tenants: ['burst', 'calm'],
        apiKeys: [keyOf('b', 'burst'), keyOf('c', 'calm')],
        ...options,
      },
      enginesCount,
    );
    let nextPrompt = 1;
    const send = async (name: string, promptTokens: number, maxTokens: number): Promise<number> => {
      const number = nextPrompt++;
      const prompt = Array.from({ length: promptTokens }, (_, i) => (number * 131 + i * 7) % 50_000);
      const body = { model: 'fake', prompt, max_tokens: maxTokens, stream: true };
      return (await post(gateway, '/v1/completions', body, bearer(name))).status;
    };
    const calm = (): Promise<number> => send('c', 16, 1);
    expect(await calm()).toBe(200);
    let answered = 0;
    const burst = Array.from({ length: burstCount }, async () => {
      const status = await send('b', 2000, 100);
      answered += 1;
      return status;
    });
    const queues = async () => {
      const { workers, queues: all } = (await getJson(gateway, '/loads')) as {
        workers: { runningRequests: number }[];
        queues: { waiting: number; keptWorkers: number }[];
      };
      return { ...all[0]!, running: workers.reduce((sum, { runningRequests }) => sum + runningRequests, 0) };
    };
    await eventually(async () => {
      const { running, waiting } = await queues();
      return running + waiting === burstCount;
    }, 25_000);
    const end = async (): Promise<void> => {
      let ended = 0;
      await eventually(() => {
        while (ended < held.length) held[ended++]!();
        return answered === burstCount;
      }, 25_000);
      expect(new Set(await Promise.all(burst))).toEqual(new Set([200]));
      await atRest(gateway);
    };
    return { gateway, held, calm, queues, end };
  }

  it('leaves workers free for others, as loads, metrics and decisions say', async () => {
    const { gateway, queues, end } = await withBurst({ tenantReserveS: 600 });
    expect((await queues()).keptWorkers).toBe(1);
    expect(await metric(gateway, 'kvoyant_tenant_reserve_workers{pool="fake"}')).toBe(1);
    await end();
    expect(await metric(gateway, 'kvoyant_tenant_reserve_held_total')).toBeGreaterThan(0);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { keptWorkers: number }[] };
    expect(decisions.some(({ keptWorkers }) => keptWorkers === 1)).toBe(true);
  }, 60_000);

  it('fills all workers where none are kept free, and the others wait until some end', async () => {
    const { held, calm, queues, end } = await withBurst({ tenantReserveS: 0 });
    expect((await queues()).keptWorkers).toBe(0);
    expect((await queues()).running).toBe(enginesCount * runningMax);
    let status = 0;
    const waiting = calm().then((done) => {
      status = done;
    });
    await eventually(async () => (await queues()).waiting === burstCount - enginesCount * runningMax + 1);
    expect(status).toBe(0);
    for (const end of held) end();
    await eventually(() => status === 200, 25_000);
    await waiting;
    await end();
  }, 60_000);
});
