// Streams that another engine goes on with, beside other settings: pools, threads, tenants, draining workers.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import type { UsageEntry } from '../../src/gateway/telemetry/usage-entry.ts';
import { chat, dying, going, interruptions, reset, seenIn } from './broken-stream.ts';
import { type FakeEngine, type FakeRequest, streamTokens } from './fake-engine.ts';
import { type Answer, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

type Behaviour = (request: FakeRequest) => unknown;

const dies: Behaviour = dying(reset);
const cut = ['the engine broke off its answer'];

/** Whichever engine is asked first behaves like the first, and so on. */
function behave(engines: readonly FakeEngine[], ...behaviours: readonly Behaviour[]): void {
  let next = 0;
  for (const engine of engines) {
    engine.behaviour = (request) => behaviours[Math.min(next++, behaviours.length - 1)]!(request);
  }
}

async function pair(...behaviours: readonly Behaviour[]): Promise<FakeEngine[]> {
  const engines = await harness.engines(2, { ownedBy: 'vllm' });
  behave(engines, ...behaviours);
  return engines;
}

const ask = (gateway: Gateway, more: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  post(gateway, '/v1/chat/completions', { ...chat, ...more }, headers);

describe('an entry of pools', () => {
  async function twoPools(): Promise<{ readonly pools: readonly FakeEngine[][]; readonly workers: object[] }> {
    const pools: FakeEngine[][] = [];
    for (const name of ['first', 'second']) {
      pools.push(await harness.engines(2, { ownedBy: 'vllm', models: [`model-of-${name}`] }));
    }
    const workers = pools.flatMap((engines, index) =>
      engines.map(({ url }) => ({ url, pool: ['first', 'second'][index] })),
    );
    return { pools, workers };
  }
  const models = ['model-of-first', 'model-of-second'];

  it.each([
    ['lets streams of its pool go on', false, true],
    ['keeps those of its pool from it', true, false],
  ])('%s, and follows a reload', async (_, ofAll, own) => {
    const { pools, workers } = await twoPools();
    const options = { workers, tokenizer: 'none', continue: ofAll } as GatewayOptions;
    const gateway = await harness.gateway(
      { ...options, pools: [{ name: 'first', continue: own }, { name: 'second' }] },
      4,
      models,
    );
    const outcomes = async (): Promise<unknown[]> => {
      const answers: unknown[] = [];
      for (const [index, model] of models.entries()) {
        behave(pools[index]!, dies, going);
        const answer = await ask(gateway, { model });
        answers.push([answer.headers['x-kvoyant-continue'], seenIn(answer).text]);
      }
      return answers;
    };
    const [on, off] = [
      ['yes', 'Hello world'],
      [undefined, 'Hello'],
    ];
    expect(await outcomes()).toEqual(own ? [on, off] : [off, on]);
    const defaults = { port: 0, canary: false, logLevel: 'silent', probeIntervalMs: 25, shutdownGraceMs: 200 } as const;
    const next = [{ name: 'first', continue: !own }, { name: 'second' }];
    const changes = await gateway.reload(() => ({ ...defaults, ...options, pools: next }));
    expect(changes).toEqual({ changed: ['pools'], needRestart: [] });
    // The engines that died are probed first.
    await gateway.whenReady(10_000, 4);
    expect(await outcomes()).toEqual(own ? [off, off] : [on, on]);
  });
});

describe('with two threads', () => {
  it('a stream goes on as with one, and others stay with the threads', async () => {
    const engines = await pair((request) => streamTokens(request, 1));
    const workers = engines.map(({ url }) => url);
    const gateway = await harness.gateway(
      { workers, threads: 2, tokenizer: 'builtin', trustTokenizer: true, continue: true },
      2,
    );
    const byThread = async (): Promise<boolean> => {
      await ask(gateway, { logprobs: true });
      const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      return /^kvoyant_thread_requests_total\{by="thread"\} [1-9]/m.test(text);
    };
    await eventually(byThread, 60_000);
    behave(engines, dies, going);
    const answer = await ask(gateway);
    expect(answer.headers['x-kvoyant-continue']).toBe('yes');
    expect(seenIn(answer)).toMatchObject({ text: 'Hello world', roles: 1, finish: ['stop'], errors: [], ends: 1 });
    expect(await interruptions(gateway)).toEqual(['continued 1']);
  });
});

describe('limits and bills', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvoyant-continue-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('count one request, its prompt once and each token once', async () => {
    const engines = await pair(dies, going);
    const usageFile = join(folder, 'usage.jsonl');
    const key = 'one-secret-00000000001';
    const gateway = await harness.gateway(
      {
        workers: engines.map(({ url }) => url),
        ...{ continue: true, tokenizer: 'none', usageFile },
        // The stream holds the only place of its tenant while another engine goes on.
        tenants: [{ name: 'acme', inFlightMax: 1, requestsPerMinuteMax: 10, tokensPerMinuteMax: 10_000 }],
        apiKeys: [{ name: 'one', key, tenant: 'acme' }],
      },
      2,
    );
    const bearer = { authorization: `Bearer ${key}` };
    const first = await ask(gateway, {}, bearer);
    expect(seenIn(first)).toMatchObject({ text: 'Hello world', errors: [] });
    const entries = async (): Promise<UsageEntry[]> =>
      (await readFile(usageFile, 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as UsageEntry);
    await eventually(async () => (await entries()).length === 2);
    const lines = await entries();
    const sum = (of: (entry: UsageEntry) => number): number => lines.reduce((total, entry) => total + of(entry), 0);
    expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(1);
    expect(sum(({ requests }) => requests)).toBe(1);
    expect(sum(({ outputTokens }) => outputTokens)).toBe(4);
    // The second engine counted the two tokens before it as part of its prompt.
    const [{ isl }] = ((await getJson(gateway, '/decisions')) as { decisions: [{ isl: number }] }).decisions;
    const promptTokens = sum((entry) => entry.promptTokens);
    expect(promptTokens).toBeLessThanOrEqual(Math.max(isl, 10));
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const labels = '{tenant="acme",key="one",model="fake"}';
    expect(metrics).toContain(`kvoyant_usage_requests_total${labels} 1\n`);
    expect(metrics).toContain(`kvoyant_usage_prompt_tokens_total${labels} ${promptTokens}\n`);
    expect(metrics).toContain(`kvoyant_usage_output_tokens_total${labels} 4\n`);
    behave(engines, (request) => streamTokens(request, 1));
    const second = await ask(gateway, {}, bearer);
    expect(second.status).toBe(200);
    expect(second.headers['x-ratelimit-remaining-requests']).toBe('8');
    // What the second request reserves is its own prompt and at most its ten tokens.
    const remaining = Number(second.headers['x-ratelimit-remaining-tokens']);
    expect(10_000 - remaining).toBeLessThanOrEqual(promptTokens + 4 + isl + 10);
  });
});

describe('a worker that is drained', () => {
  const drain = (gateway: Gateway, { url }: FakeEngine): Promise<Response> =>
    fetch(`${gateway.adminUrl}/workers/${encodeURIComponent(url)}/drain`, { method: 'POST' });

  it('gets no stream to go on with', async () => {
    const held: FakeRequest[] = [];
    const engines = await pair(
      dying((request) => void held.push(request)),
      going,
    );
    const gateway = await harness.gateway(
      { workers: engines.map(({ url }) => url), continue: true, tokenizer: 'none' },
      2,
    );
    const answering = ask(gateway);
    await eventually(() => held.length === 1);
    const other = engines.find(({ requests }) => requests.length === 0)!;
    expect((await drain(gateway, other)).ok).toBe(true);
    reset(held[0]!);
    expect(seenIn(await answering)).toMatchObject({ text: 'Hello', errors: cut });
    expect(other.requests).toEqual([]);
    expect(await interruptions(gateway)).toEqual(['no_worker 1']);
  });

  it('and removed before its stream has ended gives it to another one', async () => {
    const held: FakeRequest[] = [];
    const engines = await pair(
      dying((request) => void held.push(request)),
      going,
    );
    const gateway = await harness.gateway(
      { workers: engines.map(({ url }) => url), continue: true, tokenizer: 'none', workerDrainMsMax: 50 },
      2,
    );
    const answering = ask(gateway);
    await eventually(() => held.length === 1);
    const busy = engines.find(({ requests }) => requests.length === 1)!;
    const removing = fetch(`${gateway.adminUrl}/workers/${encodeURIComponent(busy.url)}`, { method: 'DELETE' });
    expect(seenIn(await answering)).toMatchObject({ text: 'Hello world', errors: [], ends: 1 });
    expect((await removing).ok).toBe(true);
    expect(await interruptions(gateway)).toEqual(['continued 1']);
  });
});
