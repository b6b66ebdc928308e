// Late binding on a whole gateway: an engine with enough prefill gets no more, and the rest waits in order at the gateway.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeEngine, type FakeRequest, replyWhole, streamTokens } from './fake-engine.ts';
import { type Answer, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
let engine: FakeEngine;
/** Requests at the engine that have no token yet, oldest first. */
let pending: FakeRequest[];
beforeEach(async () => {
  harness = new Harness();
  pending = [];
  engine = await harness.engine();
  engine.behaviour = (request) => pending.push(request);
});
afterEach(() => harness.end());

const longTokens = 4000;
let first = 0;

function ask(gateway: Gateway, tokens: number, headers: Record<string, string> = {}, stream = true): Promise<Answer> {
  const number = first++;
  const prompt = Array.from({ length: tokens }, (_, i) => (number * 997 + i) % 50_000);
  return post(gateway, '/v1/completions', { model: 'fake', prompt, stream, max_tokens: 3 }, headers);
}

async function waiting(gateway: Gateway): Promise<number> {
  const { queues } = (await getJson(gateway, '/loads')) as { queues: readonly { waiting: number }[] };
  return queues[0]!.waiting;
}

const lengthOf = (request: FakeRequest): number => (JSON.parse(request.body) as { prompt: number[] }).prompt.length;

/** Above the backlog at which requests are held, so that the predictions stay there after the first answer. */
const prefillMs = 500;

/** Lets the engine answer its oldest request. */
async function compute(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, prefillMs));
  await streamTokens(pending.shift()!, 3);
}

/** Sends two long prompts to the engine: the current one and the next. */
async function busy(gateway: Gateway): Promise<Promise<Answer>[]> {
  const answers = [ask(gateway, longTokens), ask(gateway, longTokens)];
  await eventually(() => pending.length === 2);
  return answers;
}

describe('late binding', () => {
  it("holds requests that the engine can't start yet, and sends the most urgent one after each prefill", async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true });
    const answers = await busy(gateway);
    for (const [tokens, headers] of [
      [3999, {}],
      [100, {}],
      [3998, { 'x-kvoyant-ttft-ms': '60000' }],
      [3997, { 'x-kvoyant-priority': '-1' }],
    ] as const) {
      answers.push(ask(gateway, tokens, headers));
      await eventually(async () => (await waiting(gateway)) === answers.length - 2);
    }
    expect(pending).toHaveLength(2);
    const order: number[] = [];
    for (let sent = 2; sent < 6; sent++) {
      await compute();
      await eventually(() => pending.length === 2);
      order.push(lengthOf(pending[1]!));
    }
    expect(order.slice(0, 2)).toEqual([3997, 100]);
    expect(order.slice(2).sort()).toEqual([3998, 3999]);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect(await waiting(gateway)).toBe(0);
  });

  it("drops a held request when its client leaves, and refuses requests beyond the queue's limit", async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true, queuedRequestsMax: 1 });
    const answers = await busy(gateway);
    const controller = new AbortController();
    const prompt = Array.from({ length: longTokens }, (_, i) => i);
    const gone = fetch(`${gateway.url}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'fake', prompt, stream: true }),
      headers: { 'content-type': 'application/json' },
      signal: controller.signal,
    }).catch((error: Error) => error.name);
    await eventually(async () => (await waiting(gateway)) === 1);
    const { status, body } = await ask(gateway, longTokens);
    expect([status, JSON.parse(body).error.code]).toEqual([429, 'queue_full']);
    controller.abort();
    expect(await gone).toBe('AbortError');
    await eventually(async () => (await waiting(gateway)) === 0);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect(engine.requests).toHaveLength(2);
  });

  it('releases held requests by estimate behind non-streaming answers', async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true });
    const whole = [ask(gateway, longTokens, {}, false), ask(gateway, longTokens, {}, false)];
    await eventually(() => pending.length === 2);
    const held = ask(gateway, longTokens, {}, false);
    // By estimate, the first two prefills are done; no token has arrived.
    await eventually(() => pending.length === 3, 20_000);
    for (const request of pending.splice(0)) replyWhole(request, 'fine');
    for (const { status } of await Promise.all([...whole, held])) expect(status).toBe(200);
  });

  it('is off by default: every request is sent to the engine at once', async () => {
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answers = await busy(gateway);
    answers.push(ask(gateway, longTokens), ask(gateway, longTokens));
    await eventually(() => pending.length === 4);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
  });

  it('requires the queue', async () => {
    await expect(harness.gateway({ workers: [engine.url], lateBinding: true, queue: false })).rejects.toThrow(
      /needs the queue/,
    );
  });
});
