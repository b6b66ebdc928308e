// Reservations of keys and tenants: their tokens under the limits, their turn in the queue, their usage.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import type { UsageEntry } from '../../src/gateway/telemetry/usage-entry.ts';
import { atRest, eventually, Harness } from './harness.ts';

const secret = (name: string): string => `${name}-secret-00000000001`;
const keyOf = (name: string, tenant: string) => ({ name, key: secret(name), tenant, selection: true });

let harness: Harness;
let folder: string;
beforeEach(async () => {
  harness = new Harness();
  folder = await mkdtemp(join(tmpdir(), 'kvoyant-reserved-'));
});
afterEach(async () => {
  await harness.end();
  await rm(folder, { recursive: true });
});

interface Called {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: any answer
  readonly body: any;
}

async function call(gateway: Gateway, as: string, method: string, path: string, body?: object): Promise<Called> {
  const response = await fetch(gateway.url + path, {
    ...{ method, headers: { authorization: `Bearer ${secret(as)}` } },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.json() };
}

async function start(options: Partial<GatewayOptions>, worker = ''): Promise<Gateway> {
  const engine = await harness.engine();
  return harness.gateway({
    ...{ workers: [`${engine.url}${worker}`], selection: true },
    apiKeys: [keyOf('one', 'acme'), keyOf('two', 'acme'), keyOf('other', 'calm')],
    ...options,
  });
}

let prompts = 0;
/** A prompt that no other begins like. */
function prompt(length: number): number[] {
  prompts += 1;
  return Array.from({ length }, (_, i) => prompts * 10_007 + i);
}

it.each([
  ['in the queue', {}],
  ['at once', { waitMs: 0 }],
])('count their tokens under the limits of a tenant, as foreseen and then as reported: %s', async (_, more) => {
  const gateway = await start({ tenants: [{ name: 'acme', tokensPerMinuteMax: 3000 }, 'calm'] });
  const reserve = (as: string, id: string, length: number): Promise<Called> =>
    call(gateway, as, 'POST', '/reserve', { id, tokens: prompt(length), max_tokens: 100, ...more });
  const first = await reserve('one', 'a', 1900);
  expect(first).toMatchObject({ status: 200, headers: { 'x-ratelimit-limit-tokens': '3000' } });
  expect(first.headers['x-ratelimit-remaining-tokens']).toBe('1000');
  const refused = await reserve('two', 'b', 1900);
  const message = 'the limit of 3000 tokens a minute of the tenant acme is reached';
  expect(refused).toMatchObject({
    status: 429,
    body: { error: { type: 'rate_limit_error', code: 'rate_limit_exceeded', message } },
    headers: { 'x-ratelimit-limit-tokens': '3000', 'x-ratelimit-remaining-tokens': '1000', 'retry-after': '1' },
  });
  expect((await reserve('other', 'c', 1900)).status).toBe(200);
  // What it used in truth takes the place of what was foreseen.
  await call(gateway, 'one', 'POST', '/reservations/a/output', { tokens: 5 });
  await call(gateway, 'one', 'DELETE', '/reservations/a?promptTokens=1900&cachedTokens=0&outputTokens=900');
  // Not 0: what was used begins to count less if a minute ends meanwhile.
  const last = await reserve('two', 'd', 100);
  expect(Number(last.headers['x-ratelimit-remaining-tokens'])).toBeLessThan(100);
  // All is used up: nothing can be reserved, but what there is can be reported and ended.
  expect((await reserve('one', 'e', 100)).status).toBe(429);
  expect((await call(gateway, 'two', 'POST', '/reservations/d/first-token')).status).toBe(200);
  expect((await call(gateway, 'two', 'DELETE', '/reservations/d?outcome=failed')).body.deleted).toBe('now');
  await call(gateway, 'other', 'DELETE', '/reservations/c?outcome=aborted');
  await atRest(gateway);
});

it('gives back the tokens of what found no room, was deleted first, or leaked', async () => {
  const gateway = await start({ tenants: [{ name: 'acme', tokensPerMinuteMax: 1000 }, 'calm'] }, ',running-max=1');
  const reserve = (id: string, more: object = {}): Promise<Called> =>
    call(gateway, 'one', 'POST', '/reserve', { id, tokens: prompt(400), max_tokens: 100, ...more });
  expect((await call(gateway, 'other', 'POST', '/reserve', { id: 'x', tokens: prompt(10) })).status).toBe(200);
  expect(await reserve('a', { waitMs: 0 })).toMatchObject({ status: 429, body: { error: { code: 'workers_full' } } });
  expect(await reserve('b', { waitMs: 20 })).toMatchObject({ status: 429, body: { error: { code: 'workers_full' } } });
  const waiting = [reserve('c'), reserve('d')];
  await eventually(async () => (await reserve('e')).body.error.code === 'rate_limit_exceeded');
  await call(gateway, 'one', 'DELETE', '/reservations/c');
  await call(gateway, 'one', 'DELETE', '/reservations/d');
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([410, 410]);
  await call(gateway, 'other', 'DELETE', '/reservations/x?outcome=aborted');
  const leaking = await reserve('f', { leaseS: 0.05 });
  expect(leaking.headers['x-ratelimit-remaining-tokens']).toBe('500');
  await eventually(async () => {
    const { headers } = await call(gateway, 'one', 'POST', '/select', { tokens: [1] });
    return headers['x-ratelimit-remaining-tokens'] === '1000';
  });
  await atRest(gateway);
});

it('take their turn as requests of their tenant', async () => {
  const gateway = await start({ tenants: ['acme', 'calm'] }, ',running-max=1');
  const reserve = async (as: string, id: string): Promise<string> => {
    const { status } = await call(gateway, as, 'POST', '/reserve', { id, tokens: prompt(300), max_tokens: 10 });
    expect(status).toBe(200);
    expect((await call(gateway, as, 'DELETE', `/reservations/${id}`)).status).toBe(200);
    return as;
  };
  await call(gateway, 'other', 'POST', '/reserve', { id: 'x', tokens: prompt(10) });
  const order: string[] = [];
  const made: Promise<unknown>[] = [];
  const waits = async (as: string, id: string): Promise<void> => {
    made.push(reserve(as, id).then((name) => order.push(name)));
    await eventually(async () => (await waiting(gateway)) === made.length);
  };
  for (let i = 0; i < 8; i++) await waits('one', `a${i}`);
  await waits('other', 'c');
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  expect(metrics).toContain('kvoyant_tenant_queue_depth{pool="fake",tenant="acme"} 8');
  expect(metrics).toContain('kvoyant_tenant_queue_depth{pool="fake",tenant="calm"} 1');
  await call(gateway, 'other', 'DELETE', '/reservations/x?outcome=aborted');
  await Promise.all(made);
  // By arrival it would be the last.
  expect(order.indexOf('other')).toBeLessThan(4);
  await atRest(gateway);
});

async function waiting(gateway: Gateway): Promise<number> {
  const response = await fetch(`${gateway.adminUrl}/loads`);
  const { queues } = (await response.json()) as { readonly queues: readonly { readonly waiting: number }[] };
  return queues.reduce((sum, queue) => sum + queue.waiting, 0);
}

it('are billed as their caller reports them', async () => {
  const usageFile = join(folder, 'usage.jsonl');
  const gateway = await start({ tenants: ['acme', 'calm'], usageFile });
  const reserve = (id: string): Promise<Called> =>
    call(gateway, 'one', 'POST', '/reserve', { id, tokens: prompt(100), max_tokens: 50 });
  for (const id of ['usage', 'output', 'nothing', 'failed']) expect((await reserve(id)).status).toBe(200);
  const end = (id: string, query: string): Promise<Called> =>
    call(gateway, 'one', 'DELETE', `/reservations/${id}?${query}`);
  await end('usage', 'promptTokens=101&cachedTokens=64&outputTokens=7');
  await call(gateway, 'one', 'POST', '/reservations/output/output', { tokens: 5 });
  await end('output', 'outcome=aborted');
  await end('nothing', 'outcome=done');
  // Nothing came of it.
  await end('failed', 'outcome=failed');
  const read = async (): Promise<(UsageEntry & { readonly time: string })[]> =>
    (await readFile(usageFile, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  await eventually(async () => (await read()).length === 3);
  const same = { tenant: 'acme', key: 'one', model: 'fake', requests: 1, source: 'caller' };
  expect((await read()).map(({ time: _, ...entry }) => entry)).toEqual([
    { ...same, requestId: 'usage', promptTokens: 101, cachedTokens: 64, outputTokens: 7, outcome: 'done' },
    { ...same, requestId: 'output', promptTokens: 100, cachedTokens: null, outputTokens: 5, outcome: 'aborted' },
    { ...same, requestId: 'nothing', promptTokens: 100, cachedTokens: null, outputTokens: 0, outcome: 'done' },
  ]);
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  expect(metrics).toContain('kvoyant_usage_prompt_tokens_total{tenant="acme",key="one",model="fake"} 301');
  expect(metrics).toContain('kvoyant_usage_output_tokens_total{tenant="acme",key="one",model="fake"} 12');
  await atRest(gateway);
});
